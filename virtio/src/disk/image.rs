//! Images: what a disk holds before its guest has written to it. Nobody ever writes to an image.

use super::DiskError;
use alloc::vec::Vec;

/// The content of a file that does not change.
pub trait Image: Send + Sync {
    /// Its length in bytes.
    fn bytes(&self) -> u64;

    /// Fills `buf` with what is at `offset`; all of it is inside.
    ///
    /// # Errors
    ///
    /// [`DiskError`] if it cannot be read; `buf` then holds anything.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;
}

impl Image for &'static [u8] {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let start = usize::try_from(offset).map_err(|_| DiskError::OutOfRange)?;
        let bytes = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(bytes.ok_or(DiskError::OutOfRange)?);
        Ok(())
    }
}

impl Image for Vec<u8> {
    fn bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let start = usize::try_from(offset).map_err(|_| DiskError::OutOfRange)?;
        let bytes = start.checked_add(buf.len()).and_then(|end| self.get(start..end));
        buf.copy_from_slice(bytes.ok_or(DiskError::OutOfRange)?);
        Ok(())
    }
}

/// The image of a disk that begins empty.
#[derive(Clone, Copy, Debug)]
pub struct NoImage;

impl Image for NoImage {
    fn bytes(&self) -> u64 {
        0
    }

    fn read_at(&self, _: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        if buf.is_empty() { Ok(()) } else { Err(DiskError::OutOfRange) }
    }
}
