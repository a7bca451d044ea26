//! The file allocation table: which cluster follows which.

use super::{Fat, Width};
use crate::{VolumeError, number};
use alloc::vec::Vec;
use virtio::disk::reader::ReadAt;

/// How much of the table is read at once. It is a multiple of any entry's size but 12 bits'.
const WINDOW_BYTES: u64 = 4 << 10;

/// The table, of which a part is in memory.
pub(super) struct Table<'a> {
    volume: &'a Fat,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Table<'a> {
    pub(super) fn new(volume: &'a Fat) -> Self {
        Self { volume, window: Vec::new(), window_at: 0 }
    }

    /// The index of a cluster, which begin with 2.
    pub(super) fn index(&self, cluster: u32) -> Result<u64, VolumeError> {
        let index = cluster.checked_sub(2).filter(|index| *index < self.volume.clusters);
        index.map(u64::from).ok_or(VolumeError::Damaged("there is no such cluster"))
    }

    /// The cluster that follows this one, if one does.
    pub(super) fn next(
        &mut self,
        disk: &mut dyn ReadAt,
        cluster: u32,
    ) -> Result<Option<u32>, VolumeError> {
        self.index(cluster)?;
        let number = u64::from(cluster);
        let (entry, end) = match self.volume.width {
            Width::Bits12 => {
                let at = number + number / 2;
                let (low, high) = (self.byte(disk, at)?, self.byte(disk, at + 1)?);
                let both = u32::from(high) << 8 | u32::from(low);
                (if number % 2 == 0 { both & 0xfff } else { both >> 4 }, 0xff8)
            }
            Width::Bits16 => {
                let bytes = self.window(disk, number * 2)?;
                (number::half(bytes, 0)?.into(), 0xfff8)
            }
            Width::Bits32 => {
                let bytes = self.window(disk, number * 4)?;
                (number::word(bytes, 0)? & 0x0fff_ffff, 0x0fff_fff8)
            }
        };
        Ok((entry < end).then_some(entry))
    }

    fn byte(&mut self, disk: &mut dyn ReadAt, at: u64) -> Result<u8, VolumeError> {
        number::byte(self.window(disk, at)?, 0)
    }

    /// The table's bytes from `at` on, as far as they are in memory.
    fn window(&mut self, disk: &mut dyn ReadAt, at: u64) -> Result<&[u8], VolumeError> {
        let start = at - at % WINDOW_BYTES;
        let bytes = self.volume.table_bytes.saturating_sub(start).min(WINDOW_BYTES);
        if self.window.is_empty() || self.window_at != start {
            self.window.clear();
            self.window.resize(bytes as usize, 0);
            self.window_at = start;
            let read = disk.read_at(self.volume.table_at + start, &mut self.window);
            if let Err(error) = read {
                self.window.clear();
                return Err(error.into());
            }
        }
        Ok(self.window.get((at - start) as usize..).unwrap_or_default())
    }
}
