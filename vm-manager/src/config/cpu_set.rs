//! A set of host CPUs.

use core::fmt;

/// Host CPUs, by number, of which there may be 64.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuSet(u64);

impl CpuSet {
    /// All that there are.
    pub const ALL: Self = Self(u64::MAX);
    /// None.
    pub const EMPTY: Self = Self(0);

    /// The set whose CPU `n` is in it if bit `n` is set.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Bit `n` is set if CPU `n` is in the set.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the set has this CPU.
    #[must_use]
    pub const fn contains(self, cpu: u32) -> bool {
        cpu < 64 && self.0 >> cpu & 1 != 0
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set with CPUs `first` to `last` as well; `None` if they are not in order or one is not
    /// below 64.
    #[must_use]
    pub const fn with_range(self, first: u32, last: u32) -> Option<Self> {
        if first > last || last > 63 {
            return None;
        }
        Some(Self(self.0 | (u64::MAX >> (63 - (last - first))) << first))
    }

    /// Reads `0,2-3`, or `all`; `None` for anything else, and for the empty set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "all" {
            return Some(Self::ALL);
        }
        text.split(',').try_fold(Self::EMPTY, |set, part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            set.with_range(number(first)?, number(last)?)
        })
    }

    /// The CPUs in it, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |&cpu| self.contains(cpu))
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = text.trim();
    // `parse` would accept a sign.
    if digits.starts_with('+') {
        return None;
    }
    digits.parse().ok()
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => return f.write_str("all"),
            Self::EMPTY => return f.write_str("none"),
            Self(_) => {}
        }
        let mut separator = "";
        let mut next = 0;
        while let Some(first) = (next..64).find(|&cpu| self.contains(cpu)) {
            let end = (first..64).find(|&cpu| !self.contains(cpu)).unwrap_or(64);
            match end - first {
                1 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{}", end - 1)?,
            }
            separator = ",";
            next = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_and_ranges_are_read() {
        assert_eq!(CpuSet::parse("0,2-3"), Some(CpuSet::from_bits(0b1101)));
        assert_eq!(CpuSet::parse("0-63"), Some(CpuSet::ALL));
        assert_eq!(CpuSet::parse("all"), Some(CpuSet::ALL));
        for text in ["", "64", "3-2", "0-64", "1,", "-1", "+1", "0x1", "4294967296"] {
            assert_eq!(CpuSet::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bits in 1..=u64::MAX) {
            let set = CpuSet::from_bits(bits);
            prop_assert_eq!(CpuSet::parse(&std::format!("{set}")), Some(set));
            prop_assert_eq!(set.iter().count() as u32, bits.count_ones());
        }

        #[test]
        fn any_text_has_an_answer(text: String) {
            let _ = CpuSet::parse(&text);
        }
    }
}
