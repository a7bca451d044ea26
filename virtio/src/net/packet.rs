//! Frames on their way from one port to others: copied once out of the sender's memory, and shared by those who get them.

use super::header::Offload;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use hv_core::sync::Mutex;

/// The longest frame: a packet of IP as long as can be, and the header of Ethernet with a tag.
pub const LONGEST_FRAME: usize = 65_535 + 18;

/// Sizes of buffers, and how many of each are kept for reuse.
const SHELVES: [(usize, usize); 3] = [(2 << 10, 256), (16 << 10, 16), (68 << 10, 16)];
const _: () = assert!(LONGEST_FRAME <= SHELVES[2].0);

/// Buffers for frames, kept for reuse. How many are in use is bounded by those who hold them: the queues of ports.
///
/// The lock is taken by whoever makes or drops a packet, whatever other locks they have: nothing is called with it held.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<[Shelf; SHELVES.len()]>>);

/// Buffers of one size.
type Shelf = Vec<Box<[u8]>>;

impl Pool {
    /// A packet of `len` bytes, which `fill` writes. `None` if it is too long, if there is no memory, or `fill` fails.
    pub fn packet(
        &self,
        len: usize,
        offload: Offload,
        fill: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Option<Packet> {
        let shelf = SHELVES.iter().position(|(bytes, _)| len <= *bytes)?;
        let kept = self.0.lock().get_mut(shelf).and_then(Vec::pop);
        let bytes = match kept {
            Some(bytes) => bytes,
            None => new_buffer(SHELVES.get(shelf)?.0)?,
        };
        let mut packet = Packet { bytes, len, offload, pool: self.clone() };
        fill(packet.bytes.get_mut(..len)?)?;
        Some(packet)
    }

    /// Frees what is kept.
    pub fn shrink(&self) {
        let kept = core::mem::take(&mut *self.0.lock());
        drop(kept);
    }

    fn put(&self, bytes: Box<[u8]>) {
        let Some(index) = SHELVES.iter().position(|(size, _)| *size == bytes.len()) else { return };
        let most = SHELVES.get(index).map_or(0, |(_, most)| *most);
        let mut shelves = self.0.lock();
        if let Some(shelf) = shelves.get_mut(index)
            && shelf.len() < most
            && shelf.try_reserve(1).is_ok()
        {
            shelf.push(bytes);
        }
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
