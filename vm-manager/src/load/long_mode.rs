//! What a guest needs in memory to start in 64-bit mode: identity-mapped page tables and a GDT (Linux,
//! Documentation/arch/x86/boot.rst, "64-bit boot protocol").

use alloc::vec::Vec;

/// The length of [`page_tables`]: one of level 4, one of level 3, one of level 2 for each GiB.
pub(super) const TABLE_BYTES: u64 = (1 + 1 + GIGABYTES) * PAGE;
const PAGE: u64 = 4096;
/// All that is below 4 GiB is mapped.
const GIGABYTES: u64 = 4;
const ENTRIES: u64 = 512;
/// Present, writable.
const TABLE: u64 = 0b11;
/// The same, and a page of 2 MiB: every CPU with 64 bits has these.
const LARGE_PAGE: u64 = TABLE | 1 << 7;

/// Page tables for address `at`, their first the root.
pub(super) fn page_tables(at: u64) -> Vec<u8> {
    let mut entries: Vec<u64> = Vec::new();
    let level_3 = at + PAGE;
    let level_2 = level_3 + PAGE;
    entries.push(level_3 | TABLE);
    entries.resize(ENTRIES as usize, 0);
    entries.extend((0..GIGABYTES).map(|index| (level_2 + index * PAGE) | TABLE));
    entries.resize(2 * ENTRIES as usize, 0);
    entries.extend((0..GIGABYTES * ENTRIES).map(|index| index << 21 | LARGE_PAGE));
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// Descriptors: null, null, flat 64-bit code at selector 0x10, flat data at selector 0x18. Linux asks for just these.
pub(super) const GDT: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(tables: &[u8], at: u64, address: u64) -> u64 {
        let entry = |table: u64, shift: u32| {
            let index = address >> shift & 511;
            let from = (table - at + index * 8) as usize;
            u64::from_le_bytes(tables[from..from + 8].try_into().unwrap())
        };
        let level_3 = entry(at, 39) & !0xfff;
        let level_2 = entry(level_3, 30) & !0xfff;
        let leaf = entry(level_2, 21);
        assert_eq!(leaf & 0xfff, 0x83);
        leaf & !0xfff | address & 0x1f_ffff
    }

    #[test]
    fn everything_below_4_gib_is_where_it_is() {
        let tables = page_tables(0x9_0000);
        assert_eq!(tables.len() as u64, TABLE_BYTES);
        for address in [0, 0x7000, 0x20_0000, 0x1234_5678, 0x3fff_ffff, 0x4000_0000, 0xffff_ffff] {
            assert_eq!(walk(&tables, 0x9_0000, address), address);
        }
    }
}
