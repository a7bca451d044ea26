//! Nested page tables. AMD APM vol. 2, 15.25; the entries are those of long mode, 5.3.

use super::svm::host;
use crate::paging::{Format, Kind, Memory, Perms};

/// NPT with a page walk of four levels.
#[derive(Debug)]
pub enum Npt {}

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
/// A nested walk is a user access (15.25.5).
const USER: u64 = 1 << 2;
const WRITE_THROUGH_UNCACHED: u64 = 0b11 << 3;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

impl Format for Npt {
    const ROOT_LEVEL: u32 = 3;

    fn largest_leaf() -> u32 {
        if host::has_huge_pages() { 2 } else { 1 }
    }

    fn table(addr: u64) -> u64 {
        addr | PRESENT | WRITABLE | USER
    }

    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64 {
        let mut entry = addr | PRESENT | USER;
        for (wanted, bits) in [
            (perms.write, WRITABLE),
            (!perms.execute, NO_EXECUTE),
            (memory == Memory::Device, WRITE_THROUGH_UNCACHED),
            (level > 0, LARGE),
        ] {
            if wanted {
                entry |= bits;
            }
        }
        entry
    }

    fn kind(entry: u64, level: u32) -> Kind {
        match entry {
            _ if entry & PRESENT == 0 => Kind::Hole,
            _ if level == 0 || entry & LARGE != 0 => Kind::Leaf,
            _ => Kind::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_a_user_page_with_the_permissions_asked() {
        assert_eq!(Npt::leaf(0x1000, Perms::RWX, Memory::Normal, 0), 0x1007);
        assert_eq!(Npt::leaf(0x20_0000, Perms::R, Memory::Normal, 1), 1 << 63 | 0x20_0085);
    }
}
