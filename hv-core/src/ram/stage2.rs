//! The tables that show a guest its RAM, and what of it the guest has lent.
//!
//! A page that is lent waits first: it is mapped, and its frame in place, until no vCPU is loaded and what CPUs know of the
//! tables can be forgotten. Then it becomes a hole, and its frame goes back to the pool. For RAM that pages come and go of, the
//! leaves of the tables say who owns which frame; so nothing else must be remembered of a page that has come back.

// UNSAFETY: frames that leave the tables become values again.
#![expect(unsafe_code)]

use super::RESERVE;
use crate::arch::current as arch;
use crate::guest::NoPage;
use crate::machine::Range;
use crate::memory::{self, Dirty, FrameTables, Frames};
use crate::paging::{MapError, Mapping, Memory, PAGE_SIZE, Perms, Tables};
use alloc::vec::Vec;

/// A guest's second level of translation.
#[derive(Debug)]
pub(super) struct Stage2 {
    tables: FrameTables,
    root: u64,
    lent: Lent,
}

/// Which pages the guest has lent.
#[derive(Debug, Default)]
struct Lent {
    /// The guest physical address of the first bit.
    start: u64,
    /// A set bit is a page that waits.
    waiting: Vec<u64>,
    waiting_pages: u64,
    /// The word at which the search for waiting pages goes on.
    next: usize,
    /// Pages that are gone.
    gone_pages: u64,
}

impl Stage2 {
    /// Tables that show nothing. `None` if there is no memory.
    pub(super) fn new() -> Option<Self> {
        let mut tables = FrameTables::default();
        let root = tables.alloc()?;
        Some(Self { tables, root, lent: Lent::default() })
    }

    pub(super) fn root(&self) -> u64 {
        self.root
    }

    /// Bytes of the tables.
    pub(super) fn table_bytes(&self) -> u64 {
        self.tables.bytes()
    }

    /// Shows `len` bytes of RAM.
    pub(super) fn map_ram(&mut self, gpa: u64, phys: u64, len: u64) -> Result<(), MapError> {
        self.map(Mapping { virt: gpa, phys, len, perms: Perms::RWX, memory: Memory::Normal })
    }

    pub(super) fn map(&mut self, mapping: Mapping) -> Result<(), MapError> {
        arch::map_guest(&mut self.tables, self.root, mapping)
    }

    /// Where the byte at `gpa` is, and how many after it are in a row with it.
    pub(super) fn translate(&self, gpa: u64) -> Option<(u64, u64)> {
        arch::translate_guest(&self.tables, self.root, gpa)
    }

    /// From now on, pages of `range` may be lent. `None` if there is no memory to keep track of it.
    pub(super) fn prepare_lending(&mut self, range: Range) -> Option<()> {
        let words = usize::try_from(range.len().div_ceil(PAGE_SIZE * 64)).ok()?;
        self.lent.waiting.try_reserve_exact(words).ok()?;
        self.lent.waiting.resize(words, 0);
        self.lent.start = range.start;
        Some(())
    }

    /// The page at `gpa`, which is RAM, is lent, unless it is so already.
    pub(super) fn lend(&mut self, gpa: u64) {
        if self.translate(gpa).is_some() {
            self.lent.set_waiting(gpa);
        }
    }

    /// The page at `gpa`, which is RAM, is lent no more.
    pub(super) fn take_back(&mut self, gpa: u64) -> Result<(), NoPage> {
        self.lent.clear_waiting(gpa);
        self.touch(gpa)
    }

    /// Sees that the page at `gpa`, which is RAM, is there.
    pub(super) fn touch(&mut self, gpa: u64) -> Result<(), NoPage> {
        if self.translate(gpa).is_some() { Ok(()) } else { self.fill(gpa) }
    }

    /// Nothing is lent any more but what is gone already.
    pub(super) fn forget_waiting(&mut self) {
        self.lent.waiting.fill(0);
        self.lent.waiting_pages = 0;
    }

    /// Pages that wait to be collected, and pages that are gone.
    pub(super) fn lent_pages(&self) -> (u64, u64) {
        (self.lent.waiting_pages, self.lent.gone_pages)
    }

    /// Puts a frame of zeroes into the hole at `gpa`. Guests leave the hypervisor what it may need itself.
    fn fill(&mut self, gpa: u64) -> Result<(), NoPage> {
        if memory::counters().free <= RESERVE {
            return Err(NoPage);
        }
        let frame = Frames::one().ok_or(NoPage)?.zero();
        let page = gpa & !(PAGE_SIZE - 1);
        self.map_ram(page, frame.addr(), PAGE_SIZE).map_err(|_| NoPage)?;
        // The leaf owns it: `collect` or `disown` takes it out again.
        frame.leak();
        arch::publish_mapping();
        self.lent.gone_pages = self.lent.gone_pages.saturating_sub(1);
        Ok(())
    }

    /// Zeroes what is in one leaf with the byte at `gpa`, which is RAM, at most `len` bytes; a hole is filled. Returns how many
    /// bytes it was.
    pub(super) fn zero(&mut self, gpa: u64, len: u64) -> Result<u64, NoPage> {
        const AT_MOST: u64 = 2 << 20;
        let Some((phys, left)) = self.translate(gpa) else {
            self.fill(gpa)?;
            return Ok(len.min(PAGE_SIZE - gpa % PAGE_SIZE));
        };
        let len = len.min(left).min(AT_MOST);
        // SAFETY: a leaf at RAM shows the guest's own frames, and `&mut self` says that they stay.
        unsafe { arch::zero(phys, len) };
        Ok(len)
    }

    /// Takes pages that wait out of the tables, as many as `frames` has room for, and adds theirs to it. They may still be in
    /// use by what CPUs know of the tables: no vCPU is loaded, and `frames` is dropped after that is forgotten.
    pub(super) fn collect(&mut self, frames: &mut Vec<Frames<Dirty>>) {
        while frames.len() < frames.capacity()
            && let Some(gpa) = self.lent.next_waiting()
        {
            self.lent.clear_waiting(gpa);
            // Without memory for a table, the page stays where it is.
            let Ok(Some(phys)) = arch::unmap_guest_page(&mut self.tables, self.root, gpa) else {
                continue;
            };
            self.lent.gone_pages += 1;
            // SAFETY: RAM of which pages may be lent was leaked into the tables, whose leaf this was: nobody else has it.
            frames.push(unsafe { Frames::reclaim(phys, PAGE_SIZE) });
        }
    }

    /// Gives all frames of `range`, which is RAM, back to the pool. Nobody uses these tables any more.
    pub(super) fn disown(&mut self, range: Range) {
        let mut gpa = range.start;
        while gpa < range.end {
            match self.translate(gpa) {
                Some((phys, left)) => {
                    let len = left.min(range.end - gpa);
                    // SAFETY: as in `collect`; a leaf shows nothing but what was leaked into it.
                    drop(unsafe { Frames::reclaim(phys, len) });
                    gpa += len;
                }
                None => gpa += PAGE_SIZE,
            }
        }
    }
}

impl Lent {
    fn place(&self, gpa: u64) -> Option<(usize, u64)> {
        let page = gpa.checked_sub(self.start)? / PAGE_SIZE;
        Some((usize::try_from(page / 64).ok()?, 1 << (page % 64)))
    }

    fn set_waiting(&mut self, gpa: u64) {
        if let Some((word, bit)) = self.place(gpa)
            && let Some(word) = self.waiting.get_mut(word)
        {
            self.waiting_pages += u64::from(*word & bit == 0);
            *word |= bit;
        }
    }

    fn clear_waiting(&mut self, gpa: u64) {
        if let Some((word, bit)) = self.place(gpa)
            && let Some(word) = self.waiting.get_mut(word)
        {
            self.waiting_pages -= u64::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// A page that waits.
    fn next_waiting(&mut self) -> Option<u64> {
        if self.waiting_pages == 0 {
            return None;
        }
        let (before, after) = self.waiting.split_at_checked(self.next)?;
        let is_set = |word: &u64| *word != 0;
        let found = match after.iter().position(is_set) {
            Some(at) => self.next + at,
            None => before.iter().position(is_set)?,
        };
        self.next = found;
        let bit = self.waiting.get(found)?.trailing_zeros();
        Some(self.start + (found as u64 * 64 + u64::from(bit)) * PAGE_SIZE)
    }
}
