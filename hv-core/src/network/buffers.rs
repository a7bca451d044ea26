//! Memory that a card reads frames from or writes them to, and which of it the card has.

// UNSAFETY: what the card may write is reached through its address only.
#![expect(unsafe_code)]

use crate::memory::{Dirty, Frames, Zeroed};

/// Buffers of one direction, and the length of its queue.
pub(super) const DEPTH: usize = 64;
/// A header and a frame.
pub(super) const BUFFER_BYTES: usize = 2048;

const PAGES: usize = DEPTH * BUFFER_BYTES / crate::paging::PAGE_SIZE as usize;
const _: () = assert!(super::FRAME_BYTES + 12 <= BUFFER_BYTES);

/// A buffer's number.
pub(super) type Index = usize;

/// Buffers of one direction. Each is the card's, under the queue's name for it, or ours.
#[derive(Debug)]
pub(super) struct Buffers {
    /// `None` once they are given up.
    memory: Option<Frames<Zeroed>>,
    /// Which buffer the card has under this name.
    lent: [Option<Index>; DEPTH],
    /// Buffers that are ours; the first `free_count` of them.
    free: [Index; DEPTH],
    free_count: usize,
}

impl Buffers {
    pub(super) fn new() -> Option<Self> {
        let memory: Frames<Dirty> = Frames::run(PAGES)?;
        Some(Self {
            memory: Some(memory.zero()),
            lent: [None; DEPTH],
            free: core::array::from_fn(|index| index),
            free_count: DEPTH,
        })
    }

    /// Whether a buffer is ours.
    pub(super) fn has_free(&self) -> bool {
        self.free_count > 0
    }

    /// A buffer of ours.
    pub(super) fn first_free(&self) -> Option<Index> {
        self.free.get(self.free_count.checked_sub(1)?).copied()
    }

    /// The buffer of [`Self::first_free`] is the card's under this name. `false` if the card has one of that name.
    pub(super) fn lend(&mut self, token: u16) -> bool {
        let Some(index) = self.first_free() else { return false };
        match self.lent.get_mut(usize::from(token)) {
            Some(slot @ None) => {
                *slot = Some(index);
                self.free_count -= 1;
                true
            }
            Some(Some(_)) | None => false,
        }
    }

    /// Which buffer the card has under this name.
    pub(super) fn lent_as(&self, token: u16) -> Option<Index> {
        *self.lent.get(usize::from(token))?
    }

    /// The card has given back what it had under this name.
    pub(super) fn reclaim(&mut self, token: u16) {
        let lent = self.lent.get_mut(usize::from(token)).and_then(Option::take);
        if let (Some(index), Some(slot)) = (lent, self.free.get_mut(self.free_count)) {
            *slot = index;
            self.free_count += 1;
        }
    }

    /// The first `bytes` bytes of a buffer.
    pub(super) fn part(&self, index: Index, bytes: usize) -> *mut [u8] {
        let memory = self.memory.as_ref().map_or(0, Frames::addr);
        let address = memory + (index % DEPTH * BUFFER_BYTES) as u64;
        let start = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        core::ptr::slice_from_raw_parts_mut(start, bytes.min(BUFFER_BYTES))
    }

    /// Copies what is in a buffer of ours behind `header` bytes.
    pub(super) fn copy_out(&self, index: Index, header: usize, target: &mut [u8]) {
        let source = self.part(index, header.saturating_add(target.len()));
        if source.len() == header + target.len() {
            // SAFETY: within the buffer, which is ours for the moment; `target` is elsewhere.
            let frame = unsafe { source.cast::<u8>().add(header) };
            // SAFETY: as above.
            unsafe { core::ptr::copy_nonoverlapping(frame, target.as_mut_ptr(), target.len()) };
        }
    }

    /// Fills a buffer of ours with a header of zeroes and a frame.
    pub(super) fn fill(&self, index: Index, header: usize, frame: &[u8]) {
        let target = self.part(index, header.saturating_add(frame.len()));
        if target.len() == header + frame.len() {
            let start = target.cast::<u8>();
            // SAFETY: within the buffer, which is ours; nobody has a reference to it.
            unsafe { start.write_bytes(0, header) };
            // SAFETY: as above.
            let behind = unsafe { start.add(header) };
            // SAFETY: as above; `frame` is elsewhere.
            unsafe { core::ptr::copy_nonoverlapping(frame.as_ptr(), behind, frame.len()) };
        }
    }

    /// Gives the memory up for ever, if the card may still write to it.
    pub(super) fn abandon(&mut self) {
        if let Some(memory) = self.memory.take() {
            memory.leak();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffers() -> Buffers {
        Buffers {
            memory: None,
            lent: [None; DEPTH],
            free: core::array::from_fn(|index| index),
            free_count: DEPTH,
        }
    }

    #[test]
    fn every_buffer_is_lent_once_and_comes_back_once() {
        let mut buffers = buffers();
        for token in 0..DEPTH as u16 {
            assert!(buffers.lend(token));
        }
        assert!(!buffers.has_free());
        assert!(!buffers.lend(0), "there is none left");
        let index = buffers.lent_as(7).unwrap();
        buffers.reclaim(7);
        buffers.reclaim(7);
        assert_eq!(buffers.lent_as(7), None);
        assert_eq!(buffers.first_free(), Some(index));
        assert!(buffers.lend(7));
        assert!(!buffers.has_free(), "it came back once only");
    }

    #[test]
    fn a_name_that_the_queue_cannot_give_is_refused() {
        let mut buffers = buffers();
        assert!(!buffers.lend(DEPTH as u16));
        assert_eq!(buffers.lent_as(u16::MAX), None);
        buffers.reclaim(u16::MAX);
        assert!(buffers.lend(3));
        assert!(!buffers.lend(3), "the card has one of that name");
    }
}
