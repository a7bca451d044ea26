//! Virtqueues, from the device's side (2.6 to 2.8).
//!
//! A queue gives [`Chain`]s: buffers whose every segment was checked when it was taken. A chain is given back by
//! value, so that it cannot be given back twice, and a chain that is older than its queue is refused.
//!
//! The driver may change anything in memory at any time. Each descriptor is copied once, and what counts is
//! the copy. Rings are reached by aligned accesses of 2 bytes where the other side looks at the same time.

mod chain;
mod descriptor;
mod packed;
mod ring;
mod split;
mod walk;

pub use chain::{Chain, Cursor, OutOfBounds, Segment};

use crate::fault::Fault;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use packed::Packed;
use ring::Areas;
use split::Split;

/// The most entries that a queue of ours has.
pub const MAX_SIZE: u16 = 1024;
/// The most segments that a chain has, indirect ones included, however few entries its queue has: a device may
/// promise its driver as many. It bounds the work of taking one chain, overlaps included.
pub const MAX_SEGMENTS: usize = 256;

/// The layout of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueKind {
    /// A descriptor table, an available and a used ring (2.7).
    Split,
    /// One ring that both sides write (2.8).
    Packed,
}

/// Where the driver put a queue, and what was agreed on.
#[derive(Clone, Copy, Debug)]
pub struct QueueConfig {
    /// The number of entries.
    pub size: u16,
    /// The layout.
    pub kind: QueueKind,
    /// The descriptor area.
    pub descriptors: GuestPhysAddr,
    /// The driver area: the available ring, or the driver's event suppression.
    pub driver: GuestPhysAddr,
    /// The device area: the used ring, or the device's event suppression.
    pub device: GuestPhysAddr,
    /// Whether `VIRTIO_F_INDIRECT_DESC` was agreed on.
    pub indirect: bool,
    /// Whether `VIRTIO_F_EVENT_IDX` was agreed on.
    pub event_index: bool,
}

enum Layout {
    Split(Split),
    Packed(Packed),
}

/// One virtqueue.
pub struct Queue {
    layout: Layout,
    /// Which queue of all that ever were: what a chain must show to be given back.
    identity: u64,
    /// Segment lists of chains that were given back.
    spare: Vec<Vec<Segment>>,
}

/// How many segment lists a queue keeps for reuse: a frame may take up as many buffers.
const SPARE: usize = 64;
/// Longer lists are not kept, but for a few.
const SPARE_SEGMENTS: usize = 16;
const SPARE_LONG: usize = 4;

impl Queue {
    /// The queue that `config` describes, empty.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn new(config: QueueConfig, memory: &dyn GuestMemory) -> Result<Self, Fault> {
        // Relaxed: only that no two are the same matters.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let areas = Areas::new(&config, memory)?;
        let layout = match config.kind {
            QueueKind::Split => Layout::Split(Split::new(areas)),
            QueueKind::Packed => Layout::Packed(Packed::new(areas)),
        };
        let identity = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { layout, identity, spare: Vec::new() })
    }

    /// Takes the next buffer that the driver made available, if there is one.
    ///
    /// # Errors
    ///
    /// Says what the driver did wrong. The queue is of no use then.
    pub fn pop(&mut self, memory: &dyn GuestMemory) -> Result<Option<Chain>, Fault> {
        let mut segments = self.spare.pop().unwrap_or_default();
        segments.clear();
        let mut chain = Chain::new(self.identity, segments);
        let found = match &mut self.layout {
            Layout::Split(split) => split.pop(memory, &mut chain),
            Layout::Packed(packed) => packed.pop(memory, &mut chain),
        };
        match found {
            Ok(true) => Ok(Some(chain)),
            Ok(false) => {
                self.recycle(chain);
                Ok(None)
            }
            Err(fault) => Err(fault),
        }
    }

    /// Gives a buffer back to the driver, of which the first `written` writable bytes were written. A chain of
    /// another queue, or of this one before a reset, is dropped.
    ///
    /// # Errors
    ///
    /// The ring is no longer in RAM.
    pub fn push(
        &mut self,
        memory: &dyn GuestMemory,
        chain: Chain,
        written: u32,
    ) -> Result<(), Fault> {
        let one = (chain, written);
        if self.is_own(&one) {
            self.give_back(memory, core::slice::from_ref(&one))?;
            self.recycle(one.0);
        }
        Ok(())
    }

    /// Gives several buffers back at once, each with the number of its bytes that were written: the driver sees all of them
    /// or none (5.1.6.4). Those of another queue, or of this one before a reset, are dropped. The list is empty afterwards.
    ///
    /// # Errors
    ///
    /// The ring is no longer in RAM.
    pub fn push_all(
        &mut self,
        memory: &dyn GuestMemory,
        chains: &mut Vec<(Chain, u32)>,
    ) -> Result<(), Fault> {
        chains.retain(|chain| self.is_own(chain));
        let result = self.give_back(memory, chains);
        chains.drain(..).for_each(|(chain, _)| self.recycle(chain));
        result
    }

    fn is_own(&self, (chain, _): &(Chain, u32)) -> bool {
        chain.identity() == self.identity
    }

    fn give_back(
        &mut self,
        memory: &dyn GuestMemory,
        chains: &[(Chain, u32)],
    ) -> Result<(), Fault> {
        match &mut self.layout {
            Layout::Split(split) => split.push(memory, chains),
            Layout::Packed(packed) => packed.push(memory, chains),
        }
    }

    /// Whether the driver wants to hear of the buffers that were given back since this was asked last.
    ///
    /// # Errors
    ///
    /// The ring is no longer in RAM.
    pub fn needs_interrupt(&mut self, memory: &dyn GuestMemory) -> Result<bool, Fault> {
        match &mut self.layout {
            Layout::Split(split) => split.needs_interrupt(memory),
            Layout::Packed(packed) => packed.needs_interrupt(memory),
        }
    }

    /// Asks the driver to notify of the next buffer that it makes available. It may have made one available just
    /// before: [`pop`](Self::pop) once more.
    ///
    /// # Errors
    ///
    /// The ring is no longer in RAM.
    pub fn enable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        match &mut self.layout {
            Layout::Split(split) => split.enable_notifications(memory),
            Layout::Packed(packed) => packed.enable_notifications(memory),
        }
    }

    /// Tells the driver that it need not notify. It may nevertheless.
    ///
    /// # Errors
    ///
    /// The ring is no longer in RAM.
    pub fn disable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        match &mut self.layout {
            Layout::Split(split) => split.disable_notifications(memory),
            Layout::Packed(packed) => packed.disable_notifications(memory),
        }
    }

    fn recycle(&mut self, chain: Chain) {
        let segments = chain.into_segments();
        let most = if segments.capacity() <= SPARE_SEGMENTS { SPARE } else { SPARE_LONG };
        if self.spare.len() < most && self.spare.try_reserve(1).is_ok() {
            self.spare.push(segments);
        }
    }
}

#[cfg(test)]
mod tests;
