//! One buffer of the driver: segments to read from, followed by segments to write to.

use alloc::vec::Vec;
use core::fmt;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// A piece of the guest's RAM, not empty and, when it was checked, all of it RAM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Where it starts.
    pub addr: GuestPhysAddr,
    /// Its bytes.
    pub len: u32,
}

impl Segment {
    /// Whether the two share a byte. Both were checked: neither wraps around.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.addr.0 < other.addr.0 + u64::from(other.len)
            && other.addr.0 < self.addr.0 + u64::from(self.len)
    }
}

/// An access to a chain reaches past its end, or its RAM is no longer there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the access is outside of the buffer")
    }
}

/// A buffer that the driver lent to the device. [`Queue::push`](super::Queue::push) gives it back.
///
/// Its shape is a copy and does not change; the bytes in it are the guest's, which may change them at any time:
/// read what matters once.
#[derive(Debug, Eq, PartialEq)]
pub struct Chain {
    queue: u64,
    id: u16,
    /// Entries of the ring that it takes up (packed).
    entries: u16,
    segments: Vec<Segment>,
    readable: usize,
    readable_len: u64,
    writable_len: u64,
}

impl Chain {
    pub(super) fn new(queue: u64, segments: Vec<Segment>) -> Self {
        let (readable_len, writable_len) = (0, 0);
        Self { queue, id: 0, entries: 0, segments, readable: 0, readable_len, writable_len }
    }

    /// What the driver calls it; no two that it has lent have the same, if it is honest.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The segments that the device may read.
    #[must_use]
    pub fn readable(&self) -> &[Segment] {
        self.segments.get(..self.readable).unwrap_or_default()
    }

    /// The segments that the device may write.
    #[must_use]
    pub fn writable(&self) -> &[Segment] {
        self.segments.get(self.readable..).unwrap_or_default()
    }

    /// Bytes that the device may read.
    #[must_use]
    pub fn readable_len(&self) -> u64 {
        self.readable_len
    }

    /// Bytes that the device may write; it fits in a `u32` unless it is 2^32 itself.
    #[must_use]
    pub fn writable_len(&self) -> u64 {
        self.writable_len
    }

    /// Copies the readable bytes from `offset` on into `buf`.
    ///
    /// # Errors
    ///
    /// There are not as many, or they are not in RAM; `buf` may hold some then.
    pub fn read_at(
        &self,
        memory: &dyn GuestMemory,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<(), OutOfBounds> {
        each_part(self.readable(), offset, buf.len(), |addr, part| {
            let part = buf.get_mut(part).ok_or(OutOfBounds)?;
            memory.read(addr, part).map_err(|_| OutOfBounds)
        })
    }

    /// Copies `buf` to the writable bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// There are not as many, or they are not in RAM; some may be written then.
    pub fn write_at(
        &self,
        memory: &dyn GuestMemory,
        offset: u64,
        buf: &[u8],
    ) -> Result<(), OutOfBounds> {
        each_part(self.writable(), offset, buf.len(), |addr, part| {
            let part = buf.get(part).ok_or(OutOfBounds)?;
            memory.write(addr, part).map_err(|_| OutOfBounds)
        })
    }

    pub(super) fn identity(&self) -> u64 {
        self.queue
    }

    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    pub(super) fn identify(&mut self, id: u16, entries: u16) {
        self.id = id;
        self.entries = entries;
    }

    /// How many segments it has.
    pub(super) fn count(&self) -> usize {
        self.segments.len()
    }

    /// Adds a segment to read. All of these come before the first to write.
    pub(super) fn add_readable(&mut self, segment: Segment) {
        self.segments.push(segment);
        self.readable = self.segments.len();
        self.readable_len += u64::from(segment.len);
    }

    /// Adds a segment to write.
    pub(super) fn add_writable(&mut self, segment: Segment) {
        self.segments.push(segment);
        self.writable_len += u64::from(segment.len);
    }

    /// Makes room for one more segment.
    pub(super) fn reserve(&mut self) -> Result<(), alloc::collections::TryReserveError> {
        self.segments.try_reserve(1)
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.segments
    }
}

/// Calls `access` for each piece of `segments` from byte `offset` on, `len` bytes in all, with its address and its
/// place in the caller's buffer.
fn each_part(
    segments: &[Segment],
    offset: u64,
    len: usize,
    mut access: impl FnMut(GuestPhysAddr, core::ops::Range<usize>) -> Result<(), OutOfBounds>,
) -> Result<(), OutOfBounds> {
    let mut skip = offset;
    let mut done = 0;
    for segment in segments {
        if done == len {
            break;
        }
        let bytes = u64::from(segment.len);
        if skip >= bytes {
            skip -= bytes;
            continue;
        }
        let here = usize::try_from(bytes - skip).unwrap_or(usize::MAX).min(len - done);
        let addr = segment.addr.checked_add(skip).ok_or(OutOfBounds)?;
        access(addr, done..done + here)?;
        done += here;
        skip = 0;
    }
    if done == len { Ok(()) } else { Err(OutOfBounds) }
}
