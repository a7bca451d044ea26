//! What a card is plugged into.

use super::header::Offload;
use super::packet::{Packet, Pool};
use super::pieces::HEAD_BYTES;
use crate::queue::Cursor;
use alloc::sync::Arc;
use hv_core::guest::GuestMemory;

/// The network's end of the cable. It is called with the device locked: it never waits, and calls no device.
pub trait Port: Send {
    /// The driver is ready: frames may come.
    fn open(&mut self);

    /// There is no driver any more, or no link: what has come is dropped, and nothing else comes.
    fn close(&mut self);

    /// The guest sends a frame.
    fn send(&mut self, frame: Outgoing<'_>);

    /// The next frame for the guest. After `None`, the device is to be called when there is one.
    fn receive(&mut self) -> Option<Arc<Packet>>;

    /// A frame of `bytes` bytes that was received found no room with the guest.
    fn lost(&mut self, bytes: usize);
}

/// A frame that is still where the guest has it, but for its first bytes: they are copied, so that what was judged is what is
/// sent.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Its first bytes,
    pub head: [u8; HEAD_BYTES],
    /// and how many there are: all of it if it is short.
    pub head_len: usize,
    pub(super) rest: Cursor<'a>,
    pub(super) memory: Memory<'a>,
    /// How long it is.
    pub len: usize,
    /// What is left to be done to it.
    pub offload: Offload,
}

/// The guest's RAM.
pub(super) struct Memory<'a>(pub(super) &'a dyn GuestMemory);

impl core::fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Memory")
    }
}

impl Outgoing<'_> {
    /// Copies it. `None` if there is no memory for it, or it is no longer there.
    #[must_use]
    pub fn packet(mut self, pool: &Pool) -> Option<Packet> {
        let Self { head, head_len, len, offload, .. } = self;
        pool.packet(len, offload, |bytes| {
            let (first, rest) = bytes.split_at_mut_checked(head_len)?;
            first.copy_from_slice(head.get(..head_len)?);
            self.rest.read(self.memory.0, rest).ok()
        })
    }
}
