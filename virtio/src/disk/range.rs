//! Runs of sectors.

/// Bytes of a sector, the unit of all sector numbers, whatever the block size of a disk is (virtio 1.2, 5.2.4).
pub const SECTOR_BYTES: u64 = 512;

/// Some sectors in a row. Its end, in bytes too, is a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SectorRange {
    start: u64,
    count: u64,
}

impl SectorRange {
    /// No sectors.
    pub const EMPTY: Self = Self { start: 0, count: 0 };

    /// `count` sectors from `start` on. `None` if their end in bytes is no 64-bit number.
    #[must_use]
    pub const fn new(start: u64, count: u64) -> Option<Self> {
        match start.checked_add(count) {
            Some(end) if end <= u64::MAX / SECTOR_BYTES => Some(Self { start, count }),
            _ => None,
        }
    }

    /// The sectors of `bytes` bytes. `None` if that is not a whole number of sectors, or too far up.
    #[must_use]
    pub const fn of_bytes(start: u64, bytes: u64) -> Option<Self> {
        if !bytes.is_multiple_of(SECTOR_BYTES) {
            return None;
        }
        Self::new(start, bytes / SECTOR_BYTES)
    }

    /// The first sector.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.start
    }

    /// How many sectors.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.count
    }

    /// The sector behind the last.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.start + self.count
    }

    /// Where it begins, in bytes.
    #[must_use]
    pub const fn offset_bytes(self) -> u64 {
        self.start * SECTOR_BYTES
    }

    /// How long it is, in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.count * SECTOR_BYTES
    }

    /// Whether there is no sector in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// Whether a disk of `sectors` sectors has all of it.
    #[must_use]
    pub const fn is_within(self, sectors: u64) -> bool {
        self.end() <= sectors
    }

    /// Whether some sector is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end() && self.count != 0 && other.count != 0
    }

    /// Whether it begins and ends with blocks of `block_bytes`.
    #[must_use]
    pub const fn is_aligned(self, block_bytes: u32) -> bool {
        self.offset_bytes().is_multiple_of(block_bytes as u64)
            && self.bytes().is_multiple_of(block_bytes as u64)
    }

    /// The same sectors of a disk that begins at this range's start: `inner`, counted from there, as it is counted
    /// outside. `None` if it does not fit in.
    #[must_use]
    pub const fn translate(self, inner: Self) -> Option<Self> {
        if !inner.is_within(self.count) {
            return None;
        }
        Self::new(self.start + inner.start, inner.count)
    }

    /// As many sectors as these, from `start` on; as many as there can be.
    #[must_use]
    pub const fn moved_to(self, start: u64) -> Self {
        match Self::new(start, self.count) {
            Some(moved) => moved,
            None => Self::EMPTY,
        }
    }

    /// The first `at_most` sectors, and the rest.
    #[must_use]
    pub const fn split(self, at_most: u64) -> (Self, Self) {
        let count = if self.count < at_most { self.count } else { at_most };
        let rest = Self { start: self.start + count, count: self.count - count };
        (Self { start: self.start, count }, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn what_exists_has_an_end_in_bytes(start: u64, count: u64) {
            if let Some(range) = SectorRange::new(start, count) {
                prop_assert!(range.offset_bytes().checked_add(range.bytes()).is_some());
            }
        }

        #[test]
        fn a_translated_range_stays_inside(start in 0..1u64 << 50, count in 0..1u64 << 50,
                                           inner in any::<u64>(), of in any::<u64>()) {
            let outer = SectorRange::new(start, count).unwrap();
            let Some(inner) = SectorRange::new(inner, of) else { return Ok(()) };
            match outer.translate(inner) {
                Some(range) => {
                    prop_assert!(range.start() >= outer.start() && range.end() <= outer.end());
                    prop_assert_eq!(range.count(), inner.count());
                }
                None => prop_assert!(inner.end() > count),
            }
        }

        #[test]
        fn parts_make_up_the_whole(start in 0..1u64 << 50, count in 0..1u64 << 50, at: u64) {
            let range = SectorRange::new(start, count).unwrap();
            let (head, tail) = range.split(at);
            prop_assert_eq!(head.start(), start);
            prop_assert_eq!(head.end(), tail.start());
            prop_assert_eq!(tail.end(), range.end());
            prop_assert!(head.count() <= at && !head.overlaps(tail));
        }
    }

    #[test]
    fn empty_ranges_overlap_nothing() {
        let some = SectorRange::new(0, 10).unwrap();
        assert!(!some.overlaps(SectorRange::new(5, 0).unwrap()));
        assert!(some.overlaps(SectorRange::new(9, 5).unwrap()));
        assert!(!some.overlaps(SectorRange::new(10, 5).unwrap()));
    }
}
