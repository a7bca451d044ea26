//! The format of the hypervisor's own page tables: long mode with four levels. SDM vol. 3A, 4.5; APM vol. 2, 5.3.

use super::insn;
use crate::machine::Range;
use crate::own_space;
use crate::paging::{Format, Kind, MapError, Memory, Perms};

/// Long mode's tables, for the supervisor only.
#[derive(Debug)]
pub(super) enum Stage1 {}

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
/// With the page attribute table as it is after a reset, both together are uncacheable (4.9).
const UNCACHEABLE: u64 = 1 << 3 | 1 << 4;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;

impl Format for Stage1 {
    const ROOT_LEVEL: u32 = 3;

    fn largest_leaf() -> u32 {
        if has_huge_pages() { 2 } else { 1 }
    }

    fn table(addr: u64) -> u64 {
        addr | PRESENT | WRITE
    }

    fn leaf(addr: u64, perms: Perms, memory: Memory, level: u32) -> u64 {
        let write = if perms.write { WRITE } else { 0 };
        let execute = if perms.execute { 0 } else { NO_EXECUTE };
        let memory = match memory {
            Memory::Normal => 0,
            Memory::Device => UNCACHEABLE,
        };
        addr | PRESENT | write | execute | memory | if level > 0 { LARGE } else { 0 }
    }

    fn kind(entry: u64, level: u32) -> Kind {
        match entry {
            _ if entry & PRESENT == 0 => Kind::Hole,
            _ if level == 0 || entry & LARGE != 0 => Kind::Leaf,
            _ => Kind::Table,
        }
    }
}

/// Maps the registers of a device that was found since the boot. No CPU remembers that nothing was there (4.10.2.3).
pub(crate) fn map_device(registers: Range) -> Result<(), MapError> {
    own_space::map_device::<Stage1>(registers)
}

/// Whether the CPU has pages of 1 GiB: CPUID 8000_0001.
fn has_huge_pages() -> bool {
    let features = insn::cpuid_reader().get_extended_processor_and_feature_identifiers();
    features.is_some_and(|features| features.has_1gib_pages())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_only_and_data_never_executable() {
        assert_eq!(Stage1::leaf(0x20_0000, Perms::RX, Memory::Normal, 1), 0x20_0081);
        assert_eq!(Stage1::leaf(0x1000, Perms::RW, Memory::Normal, 0), 0x1003 | NO_EXECUTE);
        assert_eq!(
            Stage1::leaf(0xfee0_0000, Perms::RW, Memory::Device, 0),
            0xfee0_001b | NO_EXECUTE
        );
        assert_eq!(Stage1::leaf(0, Perms::R, Memory::Normal, 0), 1 | NO_EXECUTE);
    }
}
