//! Amounts with a unit: `256M`, `64KiB`, `500ms`.

use core::time::Duration;

/// A number of bytes: digits, and K, M or G for powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = unit.strip_suffix("iB").unwrap_or(unit);
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A time: digits, and ms, s, m or h. A bare number is not one.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// A number, decimal or hexadecimal.
pub(super) fn integer(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would accept a sign.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// An amount of bytes as it is written in a configuration, in its largest whole unit.
pub(super) fn shown_bytes(bytes: u64) -> alloc::string::String {
    let (shift, unit) = match bytes {
        0 => (0, ""),
        _ if bytes.trailing_zeros() >= 30 => (30, "G"),
        _ if bytes.trailing_zeros() >= 20 => (20, "M"),
        _ if bytes.trailing_zeros() >= 10 => (10, "K"),
        _ => (0, ""),
    };
    alloc::format!("{}{unit}", bytes >> shift)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, value) in
            [("0", 0), ("17", 17), ("4K", 4096), ("256M", 256 << 20), ("1 GiB", 1 << 30)]
        {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        for text in ["", "M", "1T", "1.5G", "-1", "99999999999999999999", "99999999999999999G"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn times_need_a_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        for text in ["", "5", "s", "1 day", "99999999999999999999s", "9999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn integers_have_no_sign() {
        assert_eq!(integer("0x4000_0000"), None);
        assert_eq!(integer("0x40000000"), Some(0x4000_0000));
        assert_eq!(integer("+5"), None);
        assert_eq!(integer("0x+5"), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(value: u64) {
            prop_assert_eq!(bytes(&shown_bytes(value)), Some(value));
        }

        #[test]
        fn any_text_has_an_answer(text: String) {
            let _ = (bytes(&text), duration(&text), integer(&text));
        }
    }
}
