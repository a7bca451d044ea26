//! The requests that a device is at work on: a fixed number of places.

use super::request::Work;
use super::wire::Status;
use crate::queue::Chain;
use alloc::vec::Vec;

/// How many requests a device is at work on at most. The others stay in its queues. A place's number has eight bits.
pub(super) const PLACES: usize = 128;

/// Whether what a request wrote is durable when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Durability {
    /// Nobody asked for that.
    Unasked,
    /// It has to be flushed first.
    Wanted,
}

/// A request that the device is at work on.
pub(super) struct Running {
    pub(super) queue: usize,
    pub(super) chain: Chain,
    pub(super) work: Work,
    /// Pieces that the disk has.
    pub(super) pieces: usize,
    /// The first error, if there was one.
    pub(super) status: Status,
    pub(super) durability: Durability,
}

pub(super) struct Table {
    places: Vec<Option<Running>>,
    free: Vec<u8>,
}

impl Table {
    pub(super) fn new() -> Self {
        let mut table = Self { places: Vec::new(), free: Vec::with_capacity(PLACES) };
        table.places.resize_with(PLACES, || None);
        table.clear();
        table
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        PLACES - self.free.len()
    }

    /// Where the request is now. `None`, and it is dropped, if there is no place.
    pub(super) fn insert(&mut self, running: Running) -> Option<u8> {
        let index = self.free.pop()?;
        *self.places.get_mut(usize::from(index))? = Some(running);
        Some(index)
    }

    pub(super) fn get(&mut self, index: u8) -> Option<&mut Running> {
        self.places.get_mut(usize::from(index))?.as_mut()
    }

    pub(super) fn remove(&mut self, index: u8) -> Option<Running> {
        let running = self.places.get_mut(usize::from(index))?.take()?;
        self.free.push(index);
        Some(running)
    }

    /// Forgets all requests.
    pub(super) fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| *place = None);
        self.free.clear();
        // The lowest is taken first.
        self.free.extend((0..PLACES as u8).rev());
    }
}
