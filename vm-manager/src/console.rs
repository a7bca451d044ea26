//! A VM's console: a ring of its recent output, and the queue of what was typed for it.
//!
//! Every byte that a guest ever sent has a position, counted from 0, and the ring keeps the
//! newest. A reader holds a [`Cursor`], the position of what it wants next: it never sees a byte
//! twice, and it learns how many it came too late for.
//!
//! ```text
//!    position 0          oldest kept                          newest
//!    ├─ overwritten ────────┼──────── in the ring ───────────────┤ total
//!                                ▲ cursor: reads from here
//! ```
//!
//! The guest's side takes no lock: [`Output::push`] is on the exit path of each character. The
//! ring is a sequence lock turned round: readers copy first, and then ask how far the writer
//! got meanwhile; what it may have overwritten is reported as lost, not given out.

use crate::devices::serial::SerialOut;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

mod input;

pub use input::InputQueue;

/// A reader's place in a console's output: the position of the next byte that it wants.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor(u64);

impl Cursor {
    /// Where the output began. A reader that starts here gets all that is kept, once, and is told
    /// how much is not.
    pub const BEGINNING: Self = Self(0);

    /// The place behind the first `position` bytes that were ever sent.
    #[must_use]
    pub const fn at(position: u64) -> Self {
        Self(position)
    }

    /// The position: how many bytes the guest had sent before the one at this place.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.0
    }
}

/// What a read gave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Read {
    /// How many bytes were copied; 0 when the reader has seen all there is.
    pub bytes: usize,
    /// How many bytes before those were overwritten before they could be read.
    pub lost: u64,
}

/// What a search found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Search {
    /// The text is there, and the cursor is behind it.
    Found,
    /// It is not in the output so far, of which nothing need be looked at again.
    NotYet,
    /// The budget is used up before the end of the output.
    Unfinished,
}

/// The recent output of one VM.
///
/// Any number of readers may read while the guest writes. Only one CPU may write at a time; the
/// lock of the device that the guest writes to sees to that. Two writers at once would lose bytes
/// and do no other harm.
pub struct Output {
    /// Length is a power of two: a position's place is its low bits.
    ring: Box<[AtomicU8]>,
    /// How many bytes have been written; all before this position are in the ring or overwritten.
    position: AtomicU64,
}

impl Output {
    /// A ring of at least `size_bytes`: the next power of two. It keeps one byte less than that.
    ///
    /// Allocates; call it before the VM runs.
    #[must_use]
    pub fn new(size_bytes: usize) -> Self {
        let size = size_bytes.max(2).checked_next_power_of_two().unwrap_or(2);
        Self { ring: (0..size).map(|_| AtomicU8::new(0)).collect(), position: AtomicU64::new(0) }
    }

    /// Appends a byte, over the oldest.
    #[inline]
    pub fn push(&self, byte: u8) {
        // Relaxed: only this side writes it.
        let position = self.position.load(Ordering::Relaxed);
        // Orders the last store of `position` before the store of the byte below. A reader that sees
        // this byte where it looked for an older one will also see, behind its own fence, that the
        // writer had come this far, and drop it.
        fence(Ordering::Release);
        if let Some(slot) = self.ring.get(self.index(position)) {
            slot.store(byte, Ordering::Relaxed);
        }
        // Release: who sees the new position sees the byte.
        self.position.store(position.wrapping_add(1), Ordering::Release);
    }

    /// Copies what follows `cursor` into `buf`, as much as fits, and moves the cursor behind it.
    pub fn read(&self, cursor: &mut Cursor, buf: &mut [u8]) -> Read {
        // Acquire: the bytes before this position are in the ring.
        let end = self.position.load(Ordering::Acquire);
        let wanted = cursor.0.min(end);
        let start = wanted.max(self.oldest(end));
        let stop = end.min(start.saturating_add(buf.len() as u64));
        for (slot, position) in buf.iter_mut().zip(start..stop) {
            *slot = self.byte(position);
        }
        // Pairs with the fence of `push`: had a byte been overwritten before it was copied above,
        // then the position loaded here says so.
        fence(Ordering::Acquire);
        let intact = self.oldest(self.position.load(Ordering::Relaxed)).clamp(start, stop);
        let torn = (intact - start) as usize;
        let copied = (stop - start) as usize;
        buf.copy_within(torn..copied, 0);
        *cursor = Cursor(stop);
        Read { bytes: copied - torn, lost: intact - wanted }
    }

    /// Where the output ends now: a reader that starts here gets only what is new.
    #[must_use]
    pub fn end(&self) -> Cursor {
        Cursor(self.position.load(Ordering::Acquire))
    }

    /// The oldest byte that is kept.
    #[must_use]
    pub fn oldest_kept(&self) -> Cursor {
        Cursor(self.oldest(self.position.load(Ordering::Acquire)))
    }

    /// Where the last `lines` lines begin, or the oldest byte that is kept if there are fewer. A
    /// line that is not yet finished counts as one.
    ///
    /// It looks at the ring once, backwards.
    #[must_use]
    pub fn tail_lines(&self, lines: usize) -> Cursor {
        let end = self.position.load(Ordering::Acquire);
        let oldest = self.oldest(end);
        if lines == 0 {
            return Cursor(end);
        }
        // A line begins behind a newline; the one at the very end begins none.
        let mut begins = (oldest + 1..end).rev().filter(|&at| self.byte(at - 1) == b'\n');
        begins.nth(lines - 1).map_or(Cursor(oldest), Cursor)
    }

    /// Looks for `text` behind `cursor`, at no more than `budget_bytes` places.
    ///
    /// The cursor moves over what has been looked at, so that the next call goes on from there: a
    /// caller that polls looks at each byte once. An empty text is found at once. Text that was
    /// overwritten before the search came to it is not found.
    pub fn search(&self, text: &[u8], cursor: &mut Cursor, budget_bytes: usize) -> Search {
        let end = self.position.load(Ordering::Acquire);
        let start = cursor.0.min(end).max(self.oldest(end));
        // No match can begin behind this position, for want of bytes.
        let places_end = (end + 1).saturating_sub(text.len() as u64).max(start);
        let stop = places_end.min(start.saturating_add(budget_bytes as u64));
        for place in start..stop {
            let is_match = text.iter().zip(place..).all(|(&byte, at)| self.byte(at) == byte);
            if is_match && self.is_kept(place) {
                *cursor = Cursor(place + text.len() as u64);
                return Search::Found;
            }
        }
        *cursor = Cursor(stop);
        if stop == places_end { Search::NotYet } else { Search::Unfinished }
    }

    /// How many bytes the guest has sent, ever.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// How many of them are no longer kept.
    #[must_use]
    pub fn overwritten_bytes(&self) -> u64 {
        self.oldest_kept().0
    }

    /// How many bytes the ring keeps.
    #[must_use]
    pub fn capacity_bytes(&self) -> usize {
        self.ring.len() - 1
    }

    /// Whether the byte at `place`, which was just looked at, was not overwritten meanwhile.
    fn is_kept(&self, place: u64) -> bool {
        // As in `read`.
        fence(Ordering::Acquire);
        place >= self.oldest(self.position.load(Ordering::Relaxed))
    }

    /// The oldest byte that a reader may trust when the writer has come to `end`: it may be just
    /// about to write there, over the one that is a ring's length older.
    fn oldest(&self, end: u64) -> u64 {
        (end + 1).saturating_sub(self.ring.len() as u64)
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        position as usize & (self.ring.len() - 1)
    }

    fn byte(&self, position: u64) -> u8 {
        // Relaxed: ordered by the fences of those who call.
        self.ring.get(self.index(position)).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }
}

impl SerialOut for Output {
    #[inline]
    fn put(&self, byte: u8) {
        self.push(byte);
    }
}

#[cfg(test)]
mod tests;
