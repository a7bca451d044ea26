//! Bitmaps: which ports and registers a guest uses without an exit. Intel SDM vol. 3C, 25.6.4 and 25.6.9.
//!
//! They are the same for all guests, so they are part of the image.

use crate::arch::x86_64::msr;

/// I/O bitmaps A and B: a bit for each port. All of them exit.
#[repr(C, align(4096))]
struct IoBitmaps([u8; 2 << 12]);

/// MSR bitmaps: RDMSR of low registers, of high ones, WRMSR of low registers, of high ones.
#[repr(C, align(4096))]
struct MsrBitmaps([u8; 1 << 12]);

static IO: IoBitmaps = IoBitmaps([0xff; 2 << 12]);
static MSR: MsrBitmaps = MsrBitmaps(msr_bitmaps());

const WRITES: usize = 0x800 * 8;

const fn msr_bitmaps() -> [u8; 1 << 12] {
    let mut map = [0xff; 1 << 12];
    let mut index = 0;
    while index < msr::GUESTS_OWN.len() {
        if let Some(bit) = read_bit(msr::GUESTS_OWN[index]) {
            map[bit / 8] &= !(1 << (bit % 8));
            map[(WRITES + bit) / 8] &= !(1 << (bit % 8));
        }
        index += 1;
    }
    map
}

/// The bit of a register's RDMSR.
const fn read_bit(msr: u32) -> Option<usize> {
    const HIGH: usize = 0x400 * 8;
    match msr & !0x1fff {
        0 => Some(msr as usize),
        0xc000_0000 => Some(HIGH + (msr & 0x1fff) as usize),
        _ => None,
    }
}

/// The physical addresses of I/O bitmaps A and B.
pub(super) fn io() -> [u64; 2] {
    let first = (&raw const IO).expose_provenance() as u64;
    [first, first + (1 << 12)]
}

/// The physical address of the MSR bitmaps.
pub(super) fn msrs() -> u64 {
    (&raw const MSR).expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exits(bit: usize) -> bool {
        MSR.0[bit / 8] >> (bit % 8) & 1 != 0
    }

    #[test]
    fn the_guest_owns_what_changes_hands_with_the_vcpu_and_nothing_else() {
        for msr in msr::GUESTS_OWN {
            let bit = read_bit(msr).unwrap();
            assert!(!exits(bit) && !exits(WRITES + bit), "{msr:#x}");
        }
        for msr in [0x10, 0x1b, 0x277, 0x48b, 0x800, msr::EFER, msr::TSC_AUX] {
            let bit = read_bit(msr).unwrap();
            assert!(exits(bit) && exits(WRITES + bit), "{msr:#x}");
        }
        let open: u32 = MSR.0.iter().map(|byte| byte.count_zeros()).sum();
        assert_eq!(open as usize, 2 * msr::GUESTS_OWN.len());
        assert_eq!(read_bit(0xc001_0114), None, "those always exit");
    }
}
