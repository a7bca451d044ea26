//! The memory map of the `pc` machine, in the kinds of the BIOS call that gave it its name (ACPI 6.5, 15.1).

use super::Region;
use crate::pc_map;
use alloc::vec::Vec;
use hv_core::guest::GuestPhysAddr;

/// What a range of addresses is; the number is the one that boot loaders hand over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub(super) enum Kind {
    /// RAM.
    Usable = 1,
    /// Nothing for an operating system.
    Reserved = 2,
}

/// A range of addresses, and what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) region: Region,
    pub(super) kind: Kind,
}

/// The map of a machine with so much memory, in ascending order. What is not in it is free for devices.
pub(super) fn map(memory_bytes: u64) -> Vec<Entry> {
    let low = pc_map::low_ram(memory_bytes);
    let entry = |start: u64, end: u64, kind| {
        let (start, end) = (GuestPhysAddr(start), GuestPhysAddr(end).min(low.end));
        Entry { region: Region { start, end }, kind }
    };
    let high = Entry { region: pc_map::high_ram(memory_bytes), kind: Kind::Usable };
    let all = [
        entry(0, pc_map::CONVENTIONAL_END, Kind::Usable),
        entry(pc_map::CONVENTIONAL_END, pc_map::VIDEO, Kind::Reserved),
        entry(pc_map::FIRMWARE, pc_map::FIRMWARE_END, Kind::Reserved),
        entry(pc_map::FIRMWARE_END, u64::MAX, Kind::Usable),
        high,
    ];
    all.into_iter().filter(|entry| entry.region.start < entry.region.end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(memory_bytes: u64) -> Vec<(u64, u64, u32)> {
        let map = map(memory_bytes);
        map.iter().map(|e| (e.region.start.0, e.region.end.0, e.kind as u32)).collect()
    }

    #[test]
    fn a_small_machine_has_no_memory_above_the_hole() {
        let expected = [
            (0, 0x9_fc00, 1),
            (0x9_fc00, 0xa_0000, 2),
            (0xe_0000, 0x10_0000, 2),
            (0x10_0000, 256 << 20, 1),
        ];
        assert_eq!(shown(256 << 20), expected);
    }

    #[test]
    fn a_large_machine_goes_on_above_the_hole() {
        let map = shown(5 << 30);
        assert_eq!(map[3..], [(0x10_0000, 3 << 30, 1), (4 << 30, 6 << 30, 1)]);
    }

    proptest! {
        #[test]
        fn all_memory_but_firmware_is_usable(memory_bytes in 1 << 20..64u64 << 30) {
            let usable: u64 = map(memory_bytes)
                .iter()
                .filter(|entry| entry.kind == Kind::Usable)
                .map(|entry| entry.region.bytes())
                .sum();
            prop_assert_eq!(usable, memory_bytes - (0x10_0000 - 0x9_fc00));
            let map = map(memory_bytes);
            prop_assert!(map.windows(2).all(|pair| pair[0].region.end <= pair[1].region.start));
        }
    }
}
