//! The ISA bus, as its devices see it: every register is a byte, and the bridge splits an access that
//! is wider into one of a byte after the other (Intel 82371SB, "PIIX3", 3.4).

use hv_core::guest::Width;

/// What a byte reads that no device drives.
pub(crate) const FLOATING: u8 = 0xff;

/// Answers a read of any width from registers of a byte, of which `register` gives the one at an offset.
#[inline]
pub(crate) fn read(offset: u64, width: Width, mut register: impl FnMut(u64) -> u8) -> u64 {
    (0..width.bytes())
        .fold(0, |value, lane| value | u64::from(register(offset.wrapping_add(lane))) << (8 * lane))
}

/// Splits a write of any width into writes to registers of a byte, the lowest first.
#[inline]
pub(crate) fn write(offset: u64, width: Width, value: u64, mut register: impl FnMut(u64, u8)) {
    for lane in 0..width.bytes() {
        register(offset.wrapping_add(lane), (value >> (8 * lane)) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_access_is_one_of_a_byte_after_the_other() {
        assert_eq!(read(4, Width::B4, |offset| offset as u8), 0x0706_0504);
        let mut written = Vec::new();
        write(1, Width::B2, 0xabcd_1234, |offset, value| written.push((offset, value)));
        assert_eq!(written, [(1, 0x34), (2, 0x12)]);
    }
}
