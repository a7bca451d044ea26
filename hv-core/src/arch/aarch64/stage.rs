//! The two table formats of EL2: its own stage 1, and the guests' stage 2. Arm ARM D8.3.
//!
//! Both are VMSAv8-64 with a granule of 4 KiB.

use crate::paging::{self, Format, Kind, MapError, Mapping, Memory, Perms, Tables};

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 0b10;
const ACCESS_FLAG: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;

fn kind(entry: u64, level: u32) -> Kind {
    match entry & 0b11 {
        0b01 if level == 1 || level == 2 => Kind::Leaf,
        0b11 if level == 0 => Kind::Leaf,
        0b11 => Kind::Table,
        _ => Kind::Hole,
    }
}

const fn leaf_type(level: u32) -> u64 {
    if level == 0 { VALID | TABLE_OR_PAGE } else { VALID }
}

/// The guests' stage 2: 39 bits of IPA, from level 1 on (Arm ARM table D8-13), so that the root is one
/// page. `VTCR_EL2` in [`super::vcpu`] says the same.
#[derive(Debug)]
pub enum Stage2 {}

/// Bits of intermediate physical address that a guest has.
pub const IPA_BITS: u32 = 39;

impl Format for Stage2 {
    const ROOT_LEVEL: u32 = 2;

    fn table(addr: u64) -> u64 {
        addr | VALID | TABLE_OR_PAGE
    }

    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64 {
        // MemAttr[3:0], without FEAT_S2FWB: D8.6.5. Device-nGnRE keeps GICV accesses in order.
        let attributes = match memory {
            Memory::Normal => 0b1111 << 2,
            Memory::Device => 0b0001 << 2,
        };
        let access = u64::from(perms.read) << 6 | u64::from(perms.write) << 7;
        let never_execute = u64::from(!perms.execute) << 54;
        addr | leaf_type(level)
            | access
            | never_execute
            | attributes
            | INNER_SHAREABLE
            | ACCESS_FLAG
    }

    fn kind(entry: u64, level: u32) -> Kind {
        kind(entry, level)
    }
}

/// Maps a range in a guest's stage 2.
pub(crate) fn map_guest(
    tables: &mut impl Tables,
    root: u64,
    mapping: Mapping,
) -> Result<(), MapError> {
    paging::map::<Stage2>(tables, root, mapping)
}

/// What `gpa` is mapped to in a guest's stage 2, and how many bytes from there on are.
pub(crate) fn translate_guest(tables: &impl Tables, root: u64, gpa: u64) -> Option<(u64, u64)> {
    paging::translate::<Stage2>(tables, root, gpa)
}

/// Takes a page of RAM out of a guest's stage 2: see [`paging::unmap_page`].
pub(crate) fn unmap_guest_page(
    tables: &mut impl Tables,
    root: u64,
    gpa: u64,
) -> Result<Option<u64>, MapError> {
    paging::unmap_page::<Stage2>(tables, root, gpa, Perms::RWX, Memory::Normal)
}

/// EL2's own stage 1: 48 bits, one range, since `HCR_EL2.E2H` is 0.
#[derive(Debug)]
pub enum Stage1 {}

/// `MAIR_EL2`: index 0 is normal write-back memory, index 1 Device-nGnRE. D19.2.97.
pub const MAIR: u64 = 0x04_ff;

impl Format for Stage1 {
    const ROOT_LEVEL: u32 = 3;

    fn table(addr: u64) -> u64 {
        addr | VALID | TABLE_OR_PAGE
    }

    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64 {
        const RES1_AP1: u64 = 1 << 6; // AP[1] is RES1 in a regime with one exception level
        let index = match memory {
            Memory::Normal => 0,
            Memory::Device => 1 << 2,
        };
        let read_only = u64::from(!perms.write) << 7;
        let never_execute = u64::from(!perms.execute) << 54;
        addr | leaf_type(level)
            | index
            | RES1_AP1
            | read_only
            | never_execute
            | INNER_SHAREABLE
            | ACCESS_FLAG
    }

    fn kind(entry: u64, level: u32) -> Kind {
        kind(entry, level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_guest_ram_is_write_back_and_executable() {
        let page = Stage2::leaf(0x4123_4000, Perms::RWX, Memory::Normal, 0);
        assert_eq!(page, 0x4123_4000 | 0x7ff, "AF, inner shareable, RW, write-back, page");
    }

    #[test]
    fn a_block_of_guest_ram_has_the_block_type() {
        let block = Stage2::leaf(0x4020_0000, Perms::RW, Memory::Normal, 1);
        assert_eq!(block & 0b11, 0b01);
        assert_eq!(block >> 54 & 1, 1, "XN");
    }

    #[test]
    fn code_of_the_host_is_read_only() {
        let text = Stage1::leaf(0x4020_0000, Perms::RX, Memory::Normal, 0);
        assert_eq!((text >> 7 & 1, text >> 54 & 1), (1, 0));
        let data = Stage1::leaf(0x4020_0000, Perms::RW, Memory::Normal, 0);
        assert_eq!((data >> 7 & 1, data >> 54 & 1), (0, 1));
    }

    #[test]
    fn a_block_descriptor_is_reserved_at_the_level_of_512_gib() {
        assert_eq!(Stage1::kind(0x4000_0000 | 0b01, 3), Kind::Hole);
    }
}
