//! Extended page tables. Intel SDM vol. 3C, 29.3.

use super::vmx::host;
use crate::paging::{Format, Kind, Memory, Perms};

/// EPT with a page walk of four levels.
#[derive(Debug)]
pub enum Ept {}

const RWX: u64 = 0b111;
const LARGE: u64 = 1 << 7;

impl Format for Ept {
    const ROOT_LEVEL: u32 = 3;

    fn largest_leaf() -> u32 {
        if host::has_huge_pages() { 2 } else { 1 }
    }

    fn table(addr: u64) -> u64 {
        addr | RWX
    }

    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64 {
        let memory_type = match memory {
            Memory::Normal => 6 << 3, // write-back
            Memory::Device => 0,      // uncacheable
        };
        let access =
            u64::from(perms.read) | u64::from(perms.write) << 1 | u64::from(perms.execute) << 2;
        addr | access | memory_type | if level > 0 { LARGE } else { 0 }
    }

    fn kind(entry: u64, level: u32) -> Kind {
        match entry {
            _ if entry & RWX == 0 => Kind::Hole,
            _ if level == 0 || entry & LARGE != 0 => Kind::Leaf,
            _ => Kind::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_write_back_with_the_permissions_asked() {
        assert_eq!(Ept::leaf(0x1000, Perms::RWX, Memory::Normal, 0), 0x1037);
        assert_eq!(Ept::leaf(0x20_0000, Perms::R, Memory::Normal, 1), 0x20_00b1);
        assert_eq!(Ept::leaf(0x1000, Perms::RW, Memory::Device, 0), 0x1003);
    }
}
