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
        self.readable_from(offset).read(memory, buf)
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
        self.writable_from(offset).write(memory, buf)
    }

    /// The readable bytes from `offset` on, to be read one after the other.
    #[must_use]
    pub fn readable_from(&self, offset: u64) -> Cursor<'_> {
        Cursor::new(self.readable(), offset)
    }

    /// The writable bytes from `offset` on, to be written one after the other.
    #[must_use]
    pub fn writable_from(&self, offset: u64) -> Cursor<'_> {
        Cursor::new(self.writable(), offset)
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

/// A place in the data of a chain, which moves on with each access.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    segments: &'a [Segment],
    /// Bytes of the first segment that are behind it.
    done: u64,
}

impl<'a> Cursor<'a> {
    fn new(segments: &'a [Segment], offset: u64) -> Self {
        let mut cursor = Self { segments, done: offset };
        cursor.skip();
        cursor
    }

    /// Leaves the segments behind that are done.
    fn skip(&mut self) {
        while let [first, rest @ ..] = self.segments
            && self.done >= u64::from(first.len)
        {
            self.done -= u64::from(first.len);
            self.segments = rest;
        }
    }

    /// Fills `buf` with what comes next.
    ///
    /// # Errors
    ///
    /// There is not as much, or it is not in RAM; `buf` may hold some then.
    pub fn read(&mut self, memory: &dyn GuestMemory, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        self.each_part(buf.len(), |addr, part| {
            let part = buf.get_mut(part).ok_or(OutOfBounds)?;
            memory.read(addr, part).map_err(|_| OutOfBounds)
        })
    }

    /// Copies `buf` to what comes next.
    ///
    /// # Errors
    ///
    /// There is not as much, or it is not in RAM; some may be written then.
    pub fn write(&mut self, memory: &dyn GuestMemory, buf: &[u8]) -> Result<(), OutOfBounds> {
        self.each_part(buf.len(), |addr, part| {
            let part = buf.get(part).ok_or(OutOfBounds)?;
            memory.write(addr, part).map_err(|_| OutOfBounds)
        })
    }

    /// Calls `access` for each piece of the next `len` bytes, with its address and its place in the caller's buffer.
    fn each_part(
        &mut self,
        len: usize,
        mut access: impl FnMut(GuestPhysAddr, core::ops::Range<usize>) -> Result<(), OutOfBounds>,
    ) -> Result<(), OutOfBounds> {
        let mut at = 0;
        while at < len {
            let segment = self.segments.first().ok_or(OutOfBounds)?;
            // Never nothing: segments that are done, empty ones too, have been left behind.
            let left = u64::from(segment.len).saturating_sub(self.done);
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(len - at);
            let addr = segment.addr.checked_add(self.done).ok_or(OutOfBounds)?;
            access(addr, at..at + here)?;
            at += here;
            self.done += here as u64;
            self.skip();
        }
        Ok(())
    }
}
