//! Permission maps: which ports and registers a guest uses without an exit. AMD APM vol. 2, 15.10.1 and 15.11.
//!
//! They are the same for all guests, so they are part of the image.

use crate::arch::x86_64::msr;

/// The I/O permission map: a bit for each port, and some beyond the last one. All of them exit.
#[repr(C, align(4096))]
struct IoMap([u8; 3 << 12]);

/// The MSR permission map: for each register a bit for RDMSR, then one for WRMSR.
#[repr(C, align(4096))]
struct MsrMap([u8; 2 << 12]);

static IO: IoMap = IoMap([0xff; 3 << 12]);
static MSR: MsrMap = MsrMap(msr_map());

const fn msr_map() -> [u8; 2 << 12] {
    let mut map = [0xff; 2 << 12];
    let mut index = 0;
    while index < msr::GUESTS_OWN.len() {
        if let Some(bit) = bit_of(msr::GUESTS_OWN[index]) {
            map[bit / 8] &= !(0b11 << (bit % 8));
        }
        index += 1;
    }
    map
}

/// The first of a register's two bits: 15.11, table 15-8.
const fn bit_of(msr: u32) -> Option<usize> {
    const VECTOR_BITS: usize = 0x800 * 8;
    let vector = match msr & !0x1fff {
        0 => 0,
        0xc000_0000 => 1,
        0xc001_0000 => 2,
        _ => return None,
    };
    Some(vector * VECTOR_BITS + 2 * (msr & 0x1fff) as usize)
}

/// The physical address of the I/O permission map.
pub(super) fn io_map() -> u64 {
    (&raw const IO).expose_provenance() as u64
}

/// The physical address of the MSR permission map.
pub(super) fn msr_map_address() -> u64 {
    (&raw const MSR).expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(msr: u32) -> u8 {
        let bit = bit_of(msr).unwrap();
        MSR.0[bit / 8] >> (bit % 8) & 3
    }

    #[test]
    fn the_guest_owns_what_changes_hands_with_the_vcpu_and_nothing_else() {
        for msr in [0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0084, 0xc000_0100, 0xc000_0102] {
            assert_eq!(exits(msr), 0, "{msr:#x}");
        }
        for msr in [0x10, 0x1b, 0x277, 0x800, 0xc000_0080, 0xc000_0103, 0xc001_0114] {
            assert_eq!(exits(msr), 3, "{msr:#x}");
        }
        let open: u32 = MSR.0.iter().map(|byte| byte.count_zeros()).sum();
        assert_eq!(open as usize, 2 * msr::GUESTS_OWN.len());
    }

    #[test]
    fn bits_are_where_the_manual_has_them() {
        assert_eq!(bit_of(0x174), Some(2 * 0x174));
        assert_eq!(bit_of(0xc000_0080), Some(0x800 * 8 + 0x100));
        assert_eq!(bit_of(0xc001_0114), Some(0x1000 * 8 + 0x228));
        assert_eq!(bit_of(0x4000_0000), None);
    }
}
