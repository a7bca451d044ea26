//! Disks: what a block device of a guest reads and writes.
//!
//! A [`Disk`] is one client's view of a store. It takes requests that own their data, and either answers at once, or later
//! to the [`Completer`] that it was connected to. Nothing that a guest chose is trusted below this line either: each disk
//! checks the bounds of each request itself.
//!
//! ```text
//!   block device ──submit──► Disk ─┬─ Overlay: memory, over an image or over nothing
//!        ▲                         ├─ Window: a part of another disk
//!        └──────complete────────── └─ HostWindow: a part of the host's disk, which clients share
//! ```
//!
//! Locks: a device calls its disk with its own lock held, so a disk never calls its completer from [`Disk::submit`],
//! [`Disk::start`] or [`Disk::cancel`], and holds no lock of its own when it does.

use alloc::sync::Weak;
use alloc::vec::Vec;
use core::fmt;

pub mod buffer;
pub mod geometry;
pub mod gpt;
pub mod host;
pub mod image;
pub mod overlay;
pub mod page;
mod page_map;
pub mod range;
pub mod raw;
pub mod reader;
#[cfg(test)]
pub(crate) mod testing;
pub mod window;

pub use buffer::{Buffer, BufferPool};
pub use geometry::{Access, Cache, Geometry};
pub use range::{SECTOR_BYTES, SectorRange};

/// What the client calls its request; the disk gives it back, and knows nothing else about it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

/// Whether zeroed sectors may also lose their storage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmap {
    /// They may.
    Allowed,
    /// They keep what storage they have.
    Refused,
}

/// What a request wants done.
#[derive(Debug)]
pub enum Operation {
    /// Fills the buffer with the bytes from `sector` on.
    Read {
        /// The first sector.
        sector: u64,
        /// Its length says how much; a multiple of a block.
        buffer: Buffer,
    },
    /// Stores the buffer's bytes from `sector` on.
    Write {
        /// The first sector.
        sector: u64,
        /// What to write; a multiple of a block.
        buffer: Buffer,
    },
    /// Makes durable every write of this client that was submitted before.
    Flush,
    /// Forgets what the sectors hold.
    Discard(SectorRange),
    /// Makes the sectors read as zero.
    WriteZeroes(SectorRange, Unmap),
}

impl Operation {
    /// The sectors that it touches. `None` for those of data whose length or end is out of this world.
    #[must_use]
    pub fn range(&self) -> Option<SectorRange> {
        match self {
            Self::Read { sector, buffer } | Self::Write { sector, buffer } => {
                SectorRange::of_bytes(*sector, buffer.len() as u64)
            }
            Self::Flush => SectorRange::new(0, 0),
            Self::Discard(range) | Self::WriteZeroes(range, _) => Some(*range),
        }
    }

    /// The same operation, its sectors moved to begin at `sector`.
    #[must_use]
    pub fn moved_to(self, sector: u64) -> Self {
        match self {
            Self::Read { buffer, .. } => Self::Read { sector, buffer },
            Self::Write { buffer, .. } => Self::Write { sector, buffer },
            Self::Flush => Self::Flush,
            Self::Discard(range) => Self::Discard(range.moved_to(sector)),
            Self::WriteZeroes(range, unmap) => Self::WriteZeroes(range.moved_to(sector), unmap),
        }
    }

    /// Its buffer, if it has one.
    #[must_use]
    pub fn into_buffer(self) -> Option<Buffer> {
        match self {
            Self::Read { buffer, .. } | Self::Write { buffer, .. } => Some(buffer),
            Self::Flush | Self::Discard(_) | Self::WriteZeroes(..) => None,
        }
    }

    /// Whether it may change what is stored.
    #[must_use]
    pub fn is_change(&self) -> bool {
        match self {
            Self::Write { .. } | Self::Discard(_) | Self::WriteZeroes(..) => true,
            Self::Read { .. } | Self::Flush => false,
        }
    }
}

/// One request of a client.
#[derive(Debug)]
pub struct Request {
    /// The client's name for it.
    pub id: RequestId,
    /// What to do.
    pub operation: Operation,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskError {
    /// The medium or its driver reports an error.
    Medium,
    /// A sector is outside of the disk.
    OutOfRange,
    /// The request does not begin or end with a block.
    Unaligned,
    /// The disk may only be read.
    ReadOnly,
    /// The disk cannot do that.
    Unsupported,
    /// The disk did not answer in time.
    Late,
    /// There is no memory left to store it.
    NoSpace,
    /// There are too many requests of this client already.
    Busy,
    /// The client gave the request up.
    Cancelled,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Medium => "the disk reports an error",
            Self::OutOfRange => "a sector is outside of the disk",
            Self::Unaligned => "the request does not begin and end with a block",
            Self::ReadOnly => "the disk is read-only",
            Self::Unsupported => "the disk cannot do that",
            Self::Late => "the disk did not answer in time",
            Self::NoSpace => "there is no memory left for the disk",
            Self::Busy => "the disk has too many requests",
            Self::Cancelled => "the request was given up",
        })
    }
}

/// How a request ended.
#[derive(Debug)]
pub struct Completed {
    /// The client's name for it.
    pub id: RequestId,
    /// Whether it was done.
    pub result: Result<(), DiskError>,
    /// Its buffer, filled if it was a read that was done. A driver keeps the buffer of a request that is late until it
    /// has done with it: it then comes back to its pool, and [`News::Room`] says so.
    pub buffer: Option<Buffer>,
}

impl Completed {
    /// The end of a request that a disk has answered itself.
    #[must_use]
    pub fn new(id: RequestId, result: Result<(), DiskError>, operation: Operation) -> Self {
        Self { id, result, buffer: operation.into_buffer() }
    }
}

/// What became of a request that was submitted.
#[derive(Debug)]
pub enum Submitted {
    /// It has ended already.
    Done(Completed),
    /// It will end by a call to the disk's [`Completer`].
    Later,
}

/// What a disk has to say to its client.
#[derive(Debug)]
pub enum News {
    /// A request ended. It may be one that was cancelled meanwhile.
    Ended(Completed),
    /// A buffer that was given up as late is back in its pool.
    Room,
}

/// The client's side of a disk. It is called with no lock held, on any CPU.
pub trait Completer: Send + Sync {
    /// Hears what there is to say: all at once, so that the client can answer by one interrupt.
    fn hear(&self, news: Vec<News>);
}

/// Data that a disk moves from or to where its client has it, without a buffer in between.
pub enum Transfer<'a> {
    /// Gets the disk's bytes, in their order, in pieces as they come.
    Read(&'a mut dyn FnMut(&[u8]) -> Result<(), DiskError>),
    /// Fills the disk's bytes, likewise. What it fails with, some may have been stored.
    Write(&'a mut dyn FnMut(&mut [u8]) -> Result<(), DiskError>),
}

/// A client's view of a store.
pub trait Disk: Send + Sync {
    /// How large it is, and what it can do. It does not change.
    fn geometry(&self) -> Geometry;

    /// Where requests that are answered later are to be reported. A disk has one client.
    fn connect(&self, completer: Weak<dyn Completer>) {
        let _ = completer;
    }

    /// Takes a request. It may wait until [`Self::start`] before it does anything about it.
    fn submit(&self, request: Request) -> Submitted;

    /// Moves `bytes` bytes from `sector` on at once. `None` if this disk cannot: it wants requests.
    fn transfer(
        &self,
        sector: u64,
        bytes: usize,
        transfer: Transfer<'_>,
    ) -> Option<Result<(), DiskError>> {
        let _ = (sector, bytes, transfer);
        None
    }

    /// Begins what was submitted: called once after several requests.
    fn start(&self) {}

    /// Gives up all requests that have not ended. Those not begun are dropped without a word; those begun are reported
    /// later as cancelled, and what is submitted from now on for the same sectors happens after them.
    fn cancel(&self) {}
}
