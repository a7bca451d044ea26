//! Who owns which page of RAM.
//!
//! [`FrameMap`] is the bookkeeping: one bit for each 4 KiB frame, and for each 2 MiB chunk a count of
//! its free frames, so that a search touches two bytes per 2 MiB. It allocates nothing itself, which is
//! why it, and not a crate that keeps its free lists on the heap, is at the bottom of everything.
//! [`Frames`](crate::memory::Frames) is what it hands out: affine, so that a page has one owner, and with zeroing as a
//! type transition, so that nobody reads what another VM left behind.

use crate::paging::PAGE_SIZE;

/// Frames in a chunk of 2 MiB.
pub const FRAMES_PER_CHUNK: usize = 512;
const WORDS_PER_CHUNK: usize = FRAMES_PER_CHUNK / 64;

/// The bookkeeping of one chunk: 72 bytes for 2 MiB, 0.0034 % of RAM.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Chunk {
    /// A set bit is a used frame.
    used: [u64; WORDS_PER_CHUNK],
    free: u16,
}

impl Chunk {
    /// A chunk none of whose frames can be handed out.
    pub const FULL: Self = Self { used: [u64::MAX; WORDS_PER_CHUNK], free: 0 };
    const EMPTY: Self = Self { used: [0; WORDS_PER_CHUNK], free: FRAMES_PER_CHUNK as u16 };

    fn is_used(&self, frame: usize) -> bool {
        self.used.get(frame / 64).is_none_or(|word| word & (1 << (frame % 64)) != 0)
    }

    /// Marks `frame` used or free; `false` if it was so already.
    fn mark(&mut self, frame: usize, state: Mark) -> bool {
        let was_used = self.is_used(frame);
        let Some(word) = self.used.get_mut(frame / 64) else { return false };
        let bit = 1 << (frame % 64);
        match state {
            Mark::Used if !was_used => {
                *word |= bit;
                self.free -= 1;
            }
            Mark::Free if was_used => {
                *word &= !bit;
                self.free += 1;
            }
            Mark::Used | Mark::Free => return false,
        }
        true
    }

    fn first_free(&self) -> Option<usize> {
        let word = self.used.iter().position(|&word| word != u64::MAX)?;
        Some(word * 64 + self.used[word].trailing_ones() as usize)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mark {
    Used,
    Free,
}

/// How much RAM there is, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RamCounters {
    /// All that was ever given to the map.
    pub total: u64,
    /// What can be handed out.
    pub free: u64,
}

/// Which frames of RAM are free. Physical addresses in, physical addresses out.
#[derive(Debug)]
pub struct FrameMap<'a> {
    /// The address of chunk 0's first byte, a multiple of 2 MiB.
    base: u64,
    chunks: &'a mut [Chunk],
    counters: RamCounters,
    /// The chunk that the last single frame came from.
    hint: usize,
}

const CHUNK_SIZE: u64 = PAGE_SIZE * FRAMES_PER_CHUNK as u64;

impl<'a> FrameMap<'a> {
    /// How many chunks a map of `start..end` needs.
    #[must_use]
    pub fn chunks_needed(start: u64, end: u64) -> usize {
        let base = start & !(CHUNK_SIZE - 1);
        usize::try_from(end.saturating_sub(base).div_ceil(CHUNK_SIZE)).unwrap_or(usize::MAX)
    }

    /// A map of the RAM from `base`, rounded down to 2 MiB, with nothing in it free yet.
    pub fn new(base: u64, chunks: &'a mut [Chunk]) -> Self {
        chunks.fill(Chunk::FULL);
        Self { base: base & !(CHUNK_SIZE - 1), chunks, counters: RamCounters::default(), hint: 0 }
    }

    /// Gives the whole frames of `start..end` to the map.
    pub fn add(&mut self, start: u64, end: u64) {
        let start = start.next_multiple_of(PAGE_SIZE);
        self.counters.total += self.mark_range(start, end & !(PAGE_SIZE - 1), Mark::Free);
    }

    /// Takes `start..end`, and every frame that it touches, out of the map for good.
    pub fn reserve(&mut self, start: u64, end: u64) {
        let end = end.checked_next_multiple_of(PAGE_SIZE).unwrap_or(end);
        self.counters.total -= self.mark_range(start & !(PAGE_SIZE - 1), end, Mark::Used);
    }

    /// Allocates one frame, from the fullest chunk that comes first, so that whole chunks stay whole.
    pub fn alloc(&mut self) -> Option<u64> {
        let is_partial =
            |chunk: &Chunk| chunk.free > 0 && usize::from(chunk.free) < FRAMES_PER_CHUNK;
        let hint = self.hint;
        let index = Some(hint)
            .filter(|&index| self.chunks.get(index).is_some_and(is_partial))
            .or_else(|| self.chunks.iter().position(is_partial))
            .or_else(|| self.chunks.iter().position(|chunk| chunk.free > 0))?;
        self.hint = index;
        let frame = self.chunks.get(index)?.first_free()?;
        let addr = self.base + index as u64 * CHUNK_SIZE + frame as u64 * PAGE_SIZE;
        self.mark_range(addr, addr + PAGE_SIZE, Mark::Used);
        Some(addr)
    }

    /// Allocates `frames` frames in a row, aligned to 4 KiB; for a few tables or a stack.
    pub fn alloc_run(&mut self, frames: usize) -> Option<u64> {
        let (mut run, mut start) = (0, 0);
        for index in 0..self.chunks.len() * FRAMES_PER_CHUNK {
            let chunk = &self.chunks[index / FRAMES_PER_CHUNK];
            if chunk.is_used(index % FRAMES_PER_CHUNK) {
                run = 0;
                continue;
            }
            if run == 0 {
                start = index;
            }
            run += 1;
            if run == frames {
                let addr = self.base + start as u64 * PAGE_SIZE;
                self.mark_range(addr, addr + frames as u64 * PAGE_SIZE, Mark::Used);
                return Some(addr);
            }
        }
        None
    }

    /// Allocates up to `want` chunks of 2 MiB in a row, aligned to `align` chunks of physical address,
    /// preferring the first place where all of them fit. Returns the address.
    pub fn alloc_chunks(&mut self, want: usize, align: usize) -> Option<u64> {
        let whole = |chunk: &Chunk| usize::from(chunk.free) == FRAMES_PER_CHUNK;
        let align_bytes = align.max(1) as u64 * CHUNK_SIZE;
        let mut index = 0;
        while index + want <= self.chunks.len() {
            let addr = self.base + index as u64 * CHUNK_SIZE;
            if !addr.is_multiple_of(align_bytes) {
                index += 1;
                continue;
            }
            match self.chunks[index..index + want].iter().rposition(|chunk| !whole(chunk)) {
                None => {
                    for chunk in &mut self.chunks[index..index + want] {
                        *chunk = Chunk::FULL;
                    }
                    self.counters.free -= want as u64 * CHUNK_SIZE;
                    return Some(addr);
                }
                Some(obstacle) => index += obstacle + 1,
            }
        }
        None
    }

    /// The number of whole free chunks, wherever they are.
    #[must_use]
    pub fn whole_chunks(&self) -> usize {
        self.chunks.iter().filter(|chunk| usize::from(chunk.free) == FRAMES_PER_CHUNK).count()
    }

    /// Takes `addr..addr + len` back.
    ///
    /// Returns how many of its bytes were free already: a number other than zero is a bug of the
    /// caller, and has changed nothing else.
    pub fn free(&mut self, addr: u64, len: u64) -> u64 {
        len - self.mark_range(addr, addr + len, Mark::Free)
    }

    /// How much there is, and how much is free.
    #[must_use]
    pub fn counters(&self) -> RamCounters {
        self.counters
    }

    /// Marks the frames of `start..end` that this map covers, a chunk at a time where one is whole.
    /// Returns the bytes whose state changed.
    fn mark_range(&mut self, start: u64, end: u64, state: Mark) -> u64 {
        let mut addr = start.max(self.base);
        let end = end.min(self.base + self.chunks.len() as u64 * CHUNK_SIZE);
        let mut changed = 0;
        while addr < end {
            let frame = ((addr - self.base) / PAGE_SIZE) as usize;
            let Some(chunk) = self.chunks.get_mut(frame / FRAMES_PER_CHUNK) else { break };
            let is_whole = frame.is_multiple_of(FRAMES_PER_CHUNK) && end - addr >= CHUNK_SIZE;
            let step = match state {
                Mark::Free if is_whole && chunk.free == 0 => {
                    *chunk = Chunk::EMPTY;
                    changed += CHUNK_SIZE;
                    CHUNK_SIZE
                }
                Mark::Used if is_whole && usize::from(chunk.free) == FRAMES_PER_CHUNK => {
                    *chunk = Chunk::FULL;
                    changed += CHUNK_SIZE;
                    CHUNK_SIZE
                }
                Mark::Free | Mark::Used => {
                    changed += u64::from(chunk.mark(frame % FRAMES_PER_CHUNK, state)) * PAGE_SIZE;
                    PAGE_SIZE
                }
            };
            addr += step;
        }
        match state {
            Mark::Used => self.counters.free -= changed,
            Mark::Free => self.counters.free += changed,
        }
        changed
    }
}

#[cfg(test)]
mod tests;
