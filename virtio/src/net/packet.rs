//! Frames on their way from one port to others: copied once out of the sender's memory, and shared by those who get them.

use super::header::Offload;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_core::sync::Mutex;

/// The longest frame: a packet of IP as long as can be, and the header of Ethernet with a tag.
pub const LONGEST_FRAME: usize = 65_535 + 18;

/// Sizes of buffers, and how many of each are kept for reuse.
const SHELVES: [(usize, usize); 3] = [(2 << 10, 256), (16 << 10, 16), (68 << 10, 16)];
const _: () = assert!(LONGEST_FRAME <= SHELVES[2].0);

/// Bytes of buffers that there may be however little memory there is.
const ALWAYS: u64 = 2 << 20;

/// Buffers for frames, kept for reuse. How many are in use is bounded by those who hold them, the queues of ports, and by the
/// memory that the host can spare.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    /// Bytes that the host can spare.
    spare: fn() -> u64,
    /// Bytes of all buffers, in use or kept. Relaxed: it orders nothing.
    bytes: AtomicU64,
    /// Taken by whoever makes or drops a packet, whatever other locks they have: nothing is called with it held.
    shelves: Mutex<[Shelf; SHELVES.len()]>,
}

/// Buffers of one size.
type Shelf = Vec<Box<[u8]>>;

impl Default for Pool {
    /// One for a host that has memory without end.
    fn default() -> Self {
        Self::new(|| u64::MAX)
    }
}

impl Pool {
    /// Without buffers, of a host that can spare so many bytes.
    #[must_use]
    pub fn new(spare: fn() -> u64) -> Self {
        let (bytes, shelves) = (AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Inner { spare, bytes, shelves }))
    }

    /// A packet of `len` bytes, which `fill` writes. `None` if it is too long, if there is no memory, or `fill` fails.
    pub fn packet(
        &self,
        len: usize,
        offload: Offload,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Packet> {
        let shelf = SHELVES.iter().position(|(bytes, _)| len <= *bytes)?;
        let kept = self.0.shelves.lock().get_mut(shelf).and_then(Vec::pop);
        let bytes = match kept {
            Some(bytes) => bytes,
            None => self.new_buffer(SHELVES.get(shelf)?.0)?,
        };
        let mut packet = Packet { bytes, len, offload, pool: self.clone() };
        fill(packet.bytes.get_mut(..len)?)?;
        Some(packet)
    }

    /// Frees what is kept.
    pub fn shrink(&self) {
        let kept = core::mem::take(&mut *self.0.shelves.lock());
        let bytes: usize = kept.iter().flatten().map(|buffer| buffer.len()).sum();
        self.0.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn new_buffer(&self, bytes: usize) -> Option<Box<[u8]>> {
        let wanted = bytes as u64;
        let before = self.0.bytes.fetch_add(wanted, Ordering::Relaxed);
        let is_fine = before.saturating_add(wanted) <= ALWAYS || (self.0.spare)() >= wanted;
        let buffer = if is_fine { new_buffer(bytes) } else { None };
        if buffer.is_none() {
            self.0.bytes.fetch_sub(wanted, Ordering::Relaxed);
        }
        buffer
    }

    fn put(&self, bytes: Box<[u8]>) {
        let len = bytes.len();
        if let Some(index) = SHELVES.iter().position(|(size, _)| *size == len) {
            let most = SHELVES.get(index).map_or(0, |(_, most)| *most);
            let mut shelves = self.0.shelves.lock();
            if let Some(shelf) = shelves.get_mut(index)
                && shelf.len() < most
                && shelf.try_reserve(1).is_ok()
            {
                return shelf.push(bytes);
            }
        }
        self.0.bytes.fetch_sub(len as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

fn new_buffer(bytes: usize) -> Option<Box<[u8]>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).ok()?;
    buffer.resize(bytes, 0);
    Some(buffer.into_boxed_slice())
}

/// A frame, and what is left to be done to it.
pub struct Packet {
    bytes: Box<[u8]>,
    len: usize,
    offload: Offload,
    pool: Pool,
}

impl Packet {
    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// What is left to be done to it.
    #[must_use]
    pub fn offload(&self) -> Offload {
        self.offload
    }

    /// Bytes of memory that it occupies.
    #[must_use]
    pub fn footprint(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        self.pool.put(core::mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("len", &self.len).field("offload", &self.offload).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(pool: &Pool, len: usize, count: usize) -> Vec<Packet> {
        (0..count).filter_map(|_| pool.packet(len, Offload::None, |_| Some(()))).collect()
    }

    #[test]
    fn a_host_without_memory_has_a_few_buffers_and_gets_them_back() {
        let pool = Pool::new(|| 0);
        for _ in 0..3 {
            let held = packets(&pool, LONGEST_FRAME, 1000);
            assert_eq!(held.len() as u64, ALWAYS / (68 << 10));
            drop(held);
        }
        pool.shrink();
        assert_eq!(pool.0.bytes.load(Ordering::Relaxed), 0);
        assert_eq!(packets(&pool, 60, 10_000).len() as u64, ALWAYS / (2 << 10));
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_frame_that_is_too_long_is_none() {
        let pool = Pool::default();
        drop(packets(&pool, 60, 10_000));
        assert_eq!(pool.0.bytes.load(Ordering::Relaxed), 256 * (2 << 10));
        assert!(packets(&pool, LONGEST_FRAME, 1).len() == 1);
        assert!(pool.packet(usize::MAX, Offload::None, |_| Some(())).is_none());
        assert!(pool.packet(60, Offload::None, |_| None).is_none());
    }
}
