//! What Arm's PrimeCells have in common: access widths, identification registers.

use hv_core::guest::Width;

/// Answers a read of any width from 32-bit registers, of which `register` gives the one at an
/// aligned offset. Bytes after the first are read from their lane.
#[inline]
pub(super) fn read(offset: u64, width: Width, mut register: impl FnMut(u64) -> u32) -> u64 {
    let aligned = offset & !3;
    let low = u64::from(register(aligned));
    let value = match width {
        Width::B1 | Width::B2 | Width::B4 => low,
        Width::B8 => low | u64::from(register(aligned.wrapping_add(4))) << 32,
    };
    (value >> (8 * (offset & 3))) & width.ones()
}

/// Splits a write of any width into writes to 32-bit registers. The bus has no byte strobes, so
/// the other bytes of a narrower write are zero, and a write into the middle of a register is
/// ignored.
#[inline]
pub(super) fn write(offset: u64, width: Width, value: u64, mut register: impl FnMut(u64, u32)) {
    if offset & 3 != 0 {
        return;
    }
    register(offset, (value & width.ones()) as u32);
    if width == Width::B8 {
        register(offset.wrapping_add(4), (value >> 32) as u32);
    }
}

/// The register at `offset` if it is one of the eight that identify a PrimeCell: the cell's own
/// `peripheral` bytes from 0xfe0, and those that all cells share from 0xff0.
pub(super) fn identification(offset: u64, peripheral: [u8; 4]) -> Option<u32> {
    const CELL: [u8; 4] = [0x0d, 0xf0, 0x05, 0xb1];
    let bytes = match offset & !0xf {
        0xfe0 => peripheral,
        0xff0 => CELL,
        _ => return None,
    };
    let index = usize::try_from((offset & 0xf) / 4).ok()?;
    bytes.get(index).map(|&byte| u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTHS: [Width; 4] = [Width::B1, Width::B2, Width::B4, Width::B8];

    #[test]
    fn a_wide_read_covers_two_registers() {
        let value = read(0, Width::B8, |offset| if offset == 0 { 0x1111_2222 } else { 0x3333 });
        assert_eq!(value, 0x3333_1111_2222);
    }

    #[test]
    fn a_byte_is_read_from_its_lane() {
        assert_eq!(read(2, Width::B1, |_| 0x1122_3344), 0x22);
    }

    #[test]
    fn a_write_into_the_middle_of_a_register_is_ignored() {
        write(1, Width::B1, 0xff, |_, _| panic!("must not arrive"));
    }

    #[test]
    fn identification_has_eight_registers() {
        let found = (0..0x1000).step_by(4).filter(|&at| identification(at, [1; 4]).is_some());
        assert_eq!(found.count(), 8);
    }

    proptest! {
        #[test]
        fn a_read_never_exceeds_its_width(offset: u64, width in 0..4usize, value: u32) {
            let width = WIDTHS[width];
            prop_assert_eq!(read(offset, width, |_| value) & !width.ones(), 0);
        }
    }
}
