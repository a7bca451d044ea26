//! Reading a device's configuration space, byte by byte (2.5).

use hv_core::guest::Width;

/// Reads `width` bytes at `offset` of `space`, little-endian. What lies past its end reads zero.
#[must_use]
pub fn read(space: &[u8], offset: u64, width: Width) -> u64 {
    let bytes = (0..width.bytes()).map(|index| {
        let at = offset.checked_add(index).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| space.get(at)).copied().unwrap_or(0)
    });
    bytes.rev().fold(0, |value, byte| value << 8 | u64::from(byte))
}

/// Writes `width` bytes at `offset` of `space`, little-endian. What lies past its end is dropped.
pub fn write(space: &mut [u8], offset: u64, width: Width, value: u64) {
    for (index, byte) in (0..width.bytes()).zip(value.to_le_bytes()) {
        let at = offset.checked_add(index).and_then(|at| usize::try_from(at).ok());
        if let Some(place) = at.and_then(|at| space.get_mut(at)) {
            *place = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_access_reads_the_bytes_that_are_there_and_zeroes_beyond() {
        let space = [1, 2, 3, 4, 5];
        assert_eq!(read(&space, 0, Width::B4), 0x0403_0201);
        assert_eq!(read(&space, 1, Width::B2), 0x0302);
        assert_eq!(read(&space, 4, Width::B8), 5);
        assert_eq!(read(&space, 5, Width::B1), 0);
        assert_eq!(read(&space, u64::MAX, Width::B8), 0);
    }

    #[test]
    fn a_write_changes_the_bytes_that_are_there_and_no_others() {
        let mut space = [0; 4];
        write(&mut space, 3, Width::B4, 0x0403_0201);
        write(&mut space, u64::MAX, Width::B8, u64::MAX);
        assert_eq!(space, [0, 0, 0, 1]);
        write(&mut space, 0, Width::B2, 0xbbaa);
        assert_eq!(space, [0xaa, 0xbb, 0, 1]);
    }
}
