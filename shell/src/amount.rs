//! Amounts as people read and type them: bytes, durations, counts.

use crate::error::Error;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Bytes in the largest unit that leaves a whole number: `256 MiB`, `1536 MiB`, `12 KiB`.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes >= GIB && bytes.is_multiple_of(GIB) => write!(f, "{} GiB", bytes / GIB),
            bytes if bytes >= MIB && bytes.is_multiple_of(MIB) => write!(f, "{} MiB", bytes / MIB),
            bytes if bytes >= KIB && bytes.is_multiple_of(KIB) => write!(f, "{} KiB", bytes / KIB),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// Bytes rounded to a unit that leaves two or three digits: `8.4 MiB`, `31 MiB`.
pub(crate) struct About(pub(crate) u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = match self.0 {
            bytes if bytes >= GIB => (GIB, "GiB"),
            bytes if bytes >= MIB => (MIB, "MiB"),
            bytes if bytes >= KIB => (KIB, "KiB"),
            bytes => return f.write_str(&counted(bytes, "byte")),
        };
        let tenths = (u128::from(self.0) * 10 + u128::from(unit / 2)) / u128::from(unit);
        match (tenths / 10, tenths % 10) {
            (whole, _) if whole >= 10 => write!(f, "{} {name}", (tenths + 5) / 10),
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
        }
    }
}

/// Time as a clock shows it: `0:00:12`, and `3d 0:00:12` after three days.
pub(crate) struct Clock(pub(crate) Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds >= 86_400 {
            write!(f, "{}d ", seconds / 86_400)?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
    }
}

/// Time since power-on as logs show it: seconds and microseconds.
pub(crate) struct Stamp(pub(crate) Duration);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:5}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// A duration as messages name it: `60 s`, `500 ms`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(f, "{} s", self.0.as_secs())
        } else {
            write!(f, "{} ms", self.0.as_millis())
        }
    }
}

/// `1 vCPU`, `2 vCPUs`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Names as a sentence lists them: `1`, `1 and 2`, `1, 2 and 3`.
pub(crate) fn listed<T: fmt::Display>(items: &[T], conjunction: &str) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            let is_last = index + 1 == items.len();
            text.push_str(if is_last { " " } else { ", " });
            if is_last {
                text.push_str(conjunction);
                text.push(' ');
            }
        }
        text.push_str(&format!("{item}"));
    }
    text
}

/// Reads `128M`, `1G`, `64KiB`, or a number of bytes.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, Error> {
    let wrong =
        || Error::new(format!("'{text}' is no amount of memory: write it as 128M, 1G or 65536K"));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.strip_suffix("iB").unwrap_or(unit) {
        "" => 1,
        "K" | "k" => KIB,
        "M" | "m" => MIB,
        "G" | "g" => GIB,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// Reads `500ms`, `30s`, `2m`, `1h`, or a number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Error> {
    let wrong = || {
        Error::new(format!(
            "'{text}' is no duration: write it as 500ms, 30s, 2m or 1h, or as a number of seconds"
        ))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_exactly() {
        assert_eq!(Bytes(256 << 20).to_string(), "256 MiB");
        assert_eq!(Bytes(1 << 30).to_string(), "1 GiB");
        assert_eq!(Bytes((1 << 30) + (512 << 20)).to_string(), "1536 MiB");
        assert_eq!(Bytes(12 << 10).to_string(), "12 KiB");
        assert_eq!(Bytes(0).to_string(), "0 bytes");
    }

    #[test]
    fn rounded_bytes_keep_two_digits() {
        assert_eq!(About(8_808_038).to_string(), "8.4 MiB");
        assert_eq!(About(31 << 20).to_string(), "31 MiB");
        assert_eq!(About(1).to_string(), "1 byte");
        assert_eq!(About(u64::MAX).to_string(), "17179869184 GiB");
    }

    #[test]
    fn clocks_count_days() {
        assert_eq!(Clock(Duration::from_secs(12)).to_string(), "0:00:12");
        assert_eq!(Clock(Duration::from_secs(3 * 86_400 + 3661)).to_string(), "3d 1:01:01");
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        for bad in ["", "s", "-1", "1x", "1 s", "99999999999999999999", "18446744073709551615h"] {
            let error = parse_duration(bad).unwrap_err();
            assert!(error.to_string().contains("no duration"), "{bad}: {error}");
        }
    }

    #[test]
    fn memory_has_the_units_of_configurations() {
        assert_eq!(parse_bytes("128M"), Ok(128 << 20));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        for bad in ["", "M", "-1", "1T", "1.5G", "99999999999999999999", "99999999999999999G"] {
            let error = parse_bytes(bad).unwrap_err();
            assert!(error.to_string().contains("no amount of memory"), "{bad}: {error}");
        }
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed(&[1], "and"), "1");
        assert_eq!(listed(&[1, 2], "and"), "1 and 2");
        assert_eq!(listed(&["a", "b", "c"], "or"), "a, b or c");
    }
}
