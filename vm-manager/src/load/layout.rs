//! Who gets which part of a guest's RAM: everything inside of it, nothing twice.

use super::Region;
use super::error::LoadError;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// The parts of RAM that are given away.
pub(super) struct Layout {
    ram: Region,
    taken: Vec<(String, Region)>,
}

impl Layout {
    pub(super) fn new(ram: Region) -> Self {
        Self { ram, taken: Vec::new() }
    }

    pub(super) fn ram(&self) -> Region {
        self.ram
    }

    /// Gives `bytes` from `start` to `what`.
    pub(super) fn take(
        &mut self,
        what: &str,
        start: GuestPhysAddr,
        bytes: u64,
    ) -> Result<Region, LoadError> {
        let inside = Region::new(start, bytes).filter(|region| self.ram.encloses(*region));
        let at = inside.ok_or_else(|| LoadError::OutsideRam {
            what: what.to_owned(),
            start: start.0,
            bytes,
            ram: self.ram,
        })?;
        if let Some((other, other_at)) = self.taken.iter().find(|(_, other)| other.overlaps(at)) {
            return Err(LoadError::Overlap {
                what: what.to_owned(),
                at,
                other: other.clone(),
                other_at: *other_at,
            });
        }
        self.taken.push((what.to_owned(), at));
        Ok(at)
    }

    /// Gives the highest free `bytes` below `limit` to `what`, from an address that is a multiple
    /// of `align`, a power of two.
    pub(super) fn take_below(
        &mut self,
        what: &str,
        limit: GuestPhysAddr,
        bytes: u64,
        align: u64,
    ) -> Result<Region, LoadError> {
        let mut end = limit.min(self.ram.end);
        // Each turn ends below one region more, so there are no more turns than regions.
        loop {
            let start = end.0.checked_sub(bytes).map(|start| GuestPhysAddr(start & !(align - 1)));
            let at = start.and_then(|start| Region::new(start, bytes));
            let Some(at) = at.filter(|at| self.ram.start <= at.start) else {
                return Err(LoadError::NoRoom { what: what.to_owned(), bytes, ram: self.ram });
            };
            match self.taken.iter().find(|(_, other)| other.overlaps(at)) {
                Some((_, other)) => end = other.start,
                None => {
                    self.taken.push((what.to_owned(), at));
                    return Ok(at);
                }
            }
        }
    }

    /// Whether something goes to `addr`.
    pub(super) fn is_taken(&self, addr: GuestPhysAddr) -> bool {
        self.taken.iter().any(|(_, region)| region.contains(addr))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ram() -> Region {
        Region::new(GuestPhysAddr(0x4000_0000), 0x10_0000).unwrap()
    }

    #[test]
    fn an_overlap_names_both() {
        let mut layout = Layout::new(ram());
        layout.take("kernel a", GuestPhysAddr(0x4000_0000), 0x2000).unwrap();
        layout.take("next", GuestPhysAddr(0x4000_2000), 0x1000).unwrap();
        let error = layout.take("[[load]] b", GuestPhysAddr(0x4000_1fff), 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "[[load]] b at 0x40001fff..0x40002000 overlaps kernel a at 0x40000000..0x40002000"
        );
    }

    #[test]
    fn outside_of_ram_is_an_error_also_around_the_end_of_the_address_space() {
        let mut layout = Layout::new(ram());
        for (start, bytes) in
            [(0x3fff_ffff, 2), (0x400f_ffff, 2), (u64::MAX, 2), (0x4000_0000, u64::MAX), (0, 1)]
        {
            let error = layout.take("x", GuestPhysAddr(start), bytes).unwrap_err();
            assert!(matches!(error, LoadError::OutsideRam { .. }), "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_given_is_inside_aligned_and_given_once(
            fixed in proptest::collection::vec((0..0x11_0000u64, 0..0x4_0000u64), 0..8),
            floating in proptest::collection::vec((0..0x12_0000u64, 0..0x4_0000u64, 0..17u32), 0..8),
        ) {
            let mut layout = Layout::new(ram());
            let mut given = Vec::new();
            for (start, bytes) in fixed {
                given.extend(layout.take("f", GuestPhysAddr(0x4000_0000 + start), bytes));
            }
            for (limit, bytes, shift) in floating {
                let limit = GuestPhysAddr(0x4000_0000 + limit);
                if let Ok(at) = layout.take_below("g", limit, bytes, 1 << shift) {
                    prop_assert!(at.end <= limit && at.start.0 % (1 << shift) == 0);
                    given.push(at);
                }
            }
            for (index, one) in given.iter().enumerate() {
                prop_assert!(ram().encloses(*one));
                prop_assert!(given[..index].iter().all(|other| !one.overlaps(*other)));
            }
        }
    }
}
