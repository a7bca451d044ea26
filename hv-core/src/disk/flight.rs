//! A command that the device has.

// UNSAFETY: while the device has memory, it is known by its address only.
#![expect(unsafe_code)]

use super::{Command, Storage};
use alloc::boxed::Box;

/// Bytes before a command's data.
pub(super) const HEADER_BYTES: usize = 16;
/// Bytes of a range of sectors.
pub(super) const RANGE_BYTES: usize = 16;
/// Bytes of what a disk calls itself.
pub(super) const SERIAL_BYTES: usize = 20;

/// Which way a command's data goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    ToDevice,
    FromDevice,
}

/// A command that the device has. If it is dropped before its end, its memory is nobody's for ever.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) id: u64,
    /// What the queue calls it.
    pub(super) token: u16,
    /// The data: a part of the memory, or the range in the driver's page.
    pub(super) data: Option<(*mut [u8], Direction)>,
    /// From `Box::into_raw`.
    pub(super) memory: Option<*mut [u8]>,
}

// SAFETY: the pointers are those of boxes, which nobody else has, and of the driver's own page.
unsafe impl Send for Flight {}

impl Flight {
    /// The memory, once the device has done with it.
    pub(super) fn reclaim(self) -> Option<Box<[u8]>> {
        // SAFETY: `lend` has got it from a box, and a flight gives it back once, since it is consumed.
        self.memory.map(|memory| unsafe { Box::from_raw(memory) })
    }

    /// How many bytes the device must at least have written before the status.
    pub(super) fn wanted_bytes(&self) -> u64 {
        match self.data {
            Some((data, Direction::FromDevice)) => data.len() as u64,
            Some((_, Direction::ToDevice)) | None => 0,
        }
    }
}

type Lent = (Option<(*mut [u8], Direction)>, Option<*mut [u8]>);

/// Takes a box's memory for the device: the first `bytes` bytes of it.
pub(super) fn lend(memory: Box<[u8]>, bytes: usize, direction: Direction) -> Lent {
    let memory = Box::into_raw(memory);
    let data = core::ptr::slice_from_raw_parts_mut(memory.cast::<u8>(), bytes.min(memory.len()));
    (Some((data, direction)), Some(memory))
}

/// The header of a command and, if it has one, its range: virtio 1.2, 5.2.6.
pub(super) fn encode(command: &Command) -> ([u8; HEADER_BYTES], [u8; RANGE_BYTES]) {
    const UNMAP: u32 = 1;
    let (kind, sector, range) = match *command {
        Command::Read { sector, .. } => (0, sector, None),
        Command::Write { sector, .. } => (1, sector, None),
        Command::Flush => (4, 0, None),
        Command::Identify { .. } => (8, 0, None),
        Command::Discard { sector, sectors } => (11, 0, Some((sector, sectors, 0))),
        Command::WriteZeroes { sector, sectors, storage } => {
            let flags = if storage == Storage::Freed { UNMAP } else { 0 };
            (13, 0, Some((sector, sectors, flags)))
        }
    };
    let mut header = [0; HEADER_BYTES];
    write_pair(&mut header, kind, sector);
    let mut bytes = [0; RANGE_BYTES];
    let (sector, sectors, flags) = range.unwrap_or_default();
    write_pair(&mut bytes, sector, u64::from(flags) << 32 | u64::from(sectors));
    (header, bytes)
}

fn write_pair(bytes: &mut [u8; 16], first: u64, second: u64) {
    let pair = u128::from(second) << 64 | u128::from(first);
    *bytes = pair.to_le_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_the_specification_has_them() {
        let (header, _) = encode(&Command::Read { sector: 0x1234, memory: Box::new([]), bytes: 0 });
        assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0]);
        let zeroes = Command::WriteZeroes { sector: 8, sectors: 16, storage: Storage::Freed };
        let (header, range) = encode(&zeroes);
        assert_eq!(header, [13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(range, [8, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0]);
        let (header, _) = encode(&Command::Flush);
        assert_eq!(header[..4], [4, 0, 0, 0]);
    }

    #[test]
    fn memory_that_was_lent_comes_back_whole() {
        let memory: Box<[u8]> = alloc::vec![5; 4096].into();
        let (data, memory) = lend(memory, 512, Direction::FromDevice);
        let flight = Flight { id: 1, token: 2, data, memory };
        assert_eq!(flight.wanted_bytes(), 512);
        assert_eq!(flight.reclaim().unwrap().len(), 4096);
    }
}
