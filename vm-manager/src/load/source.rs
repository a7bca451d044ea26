//! Where the bytes of an image come from: memory, or a disk that nobody waits for.

use alloc::vec::Vec;
use core::fmt;

/// A file could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadError {
    /// The medium has not answered yet: the same read will succeed, or fail, a little later.
    NotYet,
    /// Bytes behind its end were asked for.
    PastEnd,
    /// The medium that it is on has failed.
    Medium,
    /// That medium has not answered in time.
    Late,
    /// There is no memory to read it into.
    NoMemory,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYet => "the medium that it is on has not answered yet",
            Self::PastEnd => "it ends too early",
            Self::Medium => "the medium that it is on has failed",
            Self::Late => "the medium that it is on does not answer",
            Self::NoMemory => "there is no memory to read it into",
        })
    }
}

/// The content of a file.
pub trait Source: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from `offset` on into `buf`, and fills it.
    ///
    /// # Errors
    ///
    /// If there are not so many, or they cannot be read; `buf` then holds anything.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError>;

    /// No more is read for now: memory that was for that may go.
    fn release(&self) {}

    /// The `len` bytes from `offset` on, if they are all in memory already: they are then
    /// copied once, directly to where they belong.
    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let _ = (offset, len);
        None
    }
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let bytes = self.slice(offset, buf.len()).ok_or(ReadError::PastEnd)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(len)?)
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.as_slice().read_at(offset, buf)
    }

    fn slice(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.get(start..start.checked_add(len)?)
    }
}

/// How much is read at once from a source that is not in memory.
const SCRATCH: usize = 16 << 10;

/// Up to `at_most` of the bytes from `offset` on, in place or read into `scratch`: all of them if
/// the source is in memory. There must be so many.
pub(super) fn view<'a>(
    source: &'a dyn Source,
    offset: u64,
    at_most: usize,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], ReadError> {
    if let Some(bytes) = source.slice(offset, at_most) {
        return Ok(bytes);
    }
    scratch.resize(at_most.min(SCRATCH), 0);
    source.read_at(offset, scratch)?;
    Ok(scratch)
}
