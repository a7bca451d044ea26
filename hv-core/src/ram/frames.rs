//! The frames of a guest's RAM, and how what is not the guest itself reaches them.

// UNSAFETY: it copies into and out of the frames that it owns.
#![expect(unsafe_code)]

use super::stage2::Stage2;
use super::{RESERVE, RamError};
use crate::arch::current as arch;
use crate::guest::{BadAddress, GuestMemory, GuestPhysAddr, Lender, NoPage};
use crate::machine::Range;
use crate::memory::{self, Dirty, Frames};
use crate::paging::PAGE_SIZE;
use crate::sync::RwLock;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops;

const CHUNK: u64 = 2 << 20;

/// Whether pages of a guest's RAM may be lent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lending {
    /// All frames stay where they are, so that nobody needs to ask the tables.
    Never,
    /// Pages come and go.
    Pages,
}

/// Frames at a guest physical address. Where pages may be lent, they are those of the beginning, and the leaves of the tables
/// own what is there now.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) frames: Frames<Dirty>,
}

impl Run {
    pub(super) fn range(&self) -> Range {
        Range { start: self.start, end: self.start + self.frames.len() }
    }
}

/// The frames of one guest's RAM. They go back when the last who has them lets go.
#[derive(Debug)]
pub struct GuestFrames {
    len: u64,
    lending: Lending,
    /// Sorted. Between parts of RAM there are gaps.
    pub(super) runs: Vec<Run>,
    /// Taken for reading by whoever copies, if pages may be lent: none goes meanwhile. Nothing else is locked with it held but
    /// the pool.
    pub(super) stage2: RwLock<Stage2>,
}

impl GuestFrames {
    /// Frames for these parts, which are shown by tables of their own.
    pub(super) fn new(parts: &[Range], lending: Lending) -> Result<Self, RamError> {
        let free = memory::counters().free.saturating_sub(RESERVE);
        let len = parts.iter().map(|part| part.len()).fold(0, u64::saturating_add);
        let no_memory = RamError::NoMemory { wanted: len, free };
        if len > free {
            return Err(no_memory);
        }
        let mut runs = Vec::new();
        for part in parts {
            let mut start = part.start;
            while start < part.end {
                runs.try_reserve(1).map_err(|_| no_memory)?;
                let frames = largest_run(start, part.end - start).ok_or(no_memory)?;
                let run = Run { start, frames };
                start += run.frames.len();
                runs.push(run);
            }
        }
        let mut stage2 = Stage2::new().ok_or(no_memory)?;
        for run in &runs {
            stage2
                .map_ram(run.start, run.frames.addr(), run.frames.len())
                .map_err(RamError::Map)?;
        }
        if let (Lending::Pages, Some(first), Some(last)) = (lending, parts.first(), parts.last()) {
            let all = Range { start: first.start, end: last.end };
            stage2.prepare_lending(all).ok_or(no_memory)?;
        }
        Ok(Self { len, lending, runs, stage2: RwLock::new(stage2) })
    }

    /// Bytes of RAM.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    #[inline]
    pub(super) fn lending(&self) -> Lending {
        self.lending
    }

    /// The eight bytes at `addr`, if they are RAM, in one page, and stay where they are.
    pub(crate) fn word(self: &Arc<Self>, addr: GuestPhysAddr) -> Option<RamWord> {
        if self.lending != Lending::Never || addr.0 % PAGE_SIZE > PAGE_SIZE - 8 {
            return None;
        }
        // Runs consist of whole pages.
        let (run, within) = self.run_at(addr.0)?;
        Some(RamWord { phys: run.frames.addr() + within, _frames: Arc::clone(self) })
    }

    pub(super) fn run_at(&self, gpa: u64) -> Option<(&Run, u64)> {
        let index = self.runs.partition_point(|run| run.start <= gpa).checked_sub(1)?;
        let run = self.runs.get(index)?;
        let within = gpa - run.start;
        (within < run.frames.len()).then_some((run, within))
    }

    /// Calls `copy` with the physical address, and the part of `0..len`, of each run that the range touches.
    fn each_part(
        &self,
        addr: GuestPhysAddr,
        len: usize,
        mut copy: impl FnMut(u64, ops::Range<usize>),
    ) -> Result<(), BadAddress> {
        // Almost always it is in one run.
        if let Some((run, within)) = self.run_at(addr.0)
            && len as u64 <= run.frames.len() - within
        {
            copy(run.frames.addr() + within, 0..len);
            return Ok(());
        }
        // First whether all of it is there: nothing is copied otherwise.
        self.parts(addr, len, |_, _| {})?;
        self.parts(addr, len, &mut copy)
    }

    fn parts(
        &self,
        addr: GuestPhysAddr,
        len: usize,
        mut each: impl FnMut(u64, ops::Range<usize>),
    ) -> Result<(), BadAddress> {
        let mut done = 0;
        while done < len {
            let at = addr.checked_add(done as u64).ok_or(BadAddress)?;
            let (run, within) = self.run_at(at.0).ok_or(BadAddress)?;
            let part = ((run.frames.len() - within) as usize).min(len - done);
            each(run.frames.addr() + within, done..done + part);
            done += part;
        }
        Ok(())
    }

    /// Writes data caches back, down to memory.
    pub(super) fn clean(&self, addr: GuestPhysAddr, len: usize) -> Result<(), BadAddress> {
        let clean = |phys, part: ops::Range<usize>| arch::clean(phys, part.len() as u64);
        if self.lending == Lending::Never {
            return self.each_part(addr, len, clean);
        }
        self.parts(addr, len, |_, _| {})?;
        let stage2 = self.stage2.read();
        let there = leaves(&stage2, addr, len).filter_map(|(phys, part)| Some((phys?, part)));
        there.for_each(|(phys, part)| clean(phys, part));
        Ok(())
    }

    /// Copies out of RAM of which pages come and go: what is not there is zero.
    fn read_lent(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.parts(addr, buf.len(), |_, _| {})?;
        let stage2 = self.stage2.read();
        let len = buf.len();
        for (phys, part) in leaves(&stage2, addr, len) {
            let Some(buf) = buf.get_mut(part) else { break };
            match phys {
                // SAFETY: a leaf at RAM shows the guest's own frames, and stays while we have the lock.
                Some(phys) => unsafe { memory::copy_from(phys, buf) },
                None => buf.fill(0),
            }
        }
        Ok(())
    }

    /// Copies into RAM of which pages come and go; what is not there comes back.
    fn write_lent(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.parts(addr, buf.len(), |_, _| {})?;
        let stage2 = self.stage2.read();
        if leaves(&stage2, addr, buf.len()).all(|(phys, _)| phys.is_some()) {
            copy_in(&stage2, addr, buf);
            return Ok(());
        }
        drop(stage2);
        let mut stage2 = self.stage2.write();
        let end = addr.0 + buf.len() as u64;
        let pages = (addr.0 / PAGE_SIZE..end.div_ceil(PAGE_SIZE)).map(|page| page * PAGE_SIZE);
        for page in pages {
            stage2.touch(page).map_err(|NoPage| BadAddress)?;
        }
        copy_in(&stage2, addr, buf);
        Ok(())
    }
}

/// The physical address of each leaf that the range, which is RAM, touches, or of each page that is not there; and the part of
/// `0..len`.
fn leaves(
    stage2: &Stage2,
    addr: GuestPhysAddr,
    len: usize,
) -> impl Iterator<Item = (Option<u64>, ops::Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let start = done;
        if start >= len {
            return None;
        }
        let at = addr.0 + start as u64;
        let (phys, left) = match stage2.translate(at) {
            Some((phys, left)) => (Some(phys), left),
            None => (None, PAGE_SIZE - at % PAGE_SIZE),
        };
        done = len.min(start.saturating_add(usize::try_from(left).unwrap_or(usize::MAX)));
        Some((phys, start..done))
    })
}

/// Copies into RAM that is there.
fn copy_in(stage2: &Stage2, addr: GuestPhysAddr, buf: &[u8]) {
    for (phys, part) in leaves(stage2, addr, buf.len()) {
        if let (Some(phys), Some(buf)) = (phys, buf.get(part)) {
            write_at(phys, buf);
        }
    }
}

/// Copies into frames of the guest, of which the caller found the address in its runs or its leaves.
fn write_at(phys: u64, buf: &[u8]) {
    // SAFETY: what runs and leaves at RAM show are the guest's own frames.
    unsafe { memory::copy_to(phys, buf) };
}

/// Eight bytes of a guest's RAM, to be looked at again and again.
#[derive(Debug)]
pub(crate) struct RamWord {
    phys: u64,
    /// Whose they are.
    _frames: Arc<GuestFrames>,
}

impl RamWord {
    /// What they hold now.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        let mut bytes = [0; 8];
        // SAFETY: `GuestFrames::word` found them within the frames that we hold on to, and that stay where they are.
        unsafe { memory::copy_from(self.phys, &mut bytes) };
        u64::from_le_bytes(bytes)
    }
}

/// The largest piece of at most `len` bytes, aligned for the largest leaves that `start` allows.
fn largest_run(start: u64, len: u64) -> Option<Frames<Dirty>> {
    const PER_GIB: usize = 512;
    let chunks = if start.is_multiple_of(CHUNK) { usize::try_from(len / CHUNK).ok()? } else { 0 };
    if chunks >= PER_GIB && start.is_multiple_of(1 << 30) {
        let whole = chunks / PER_GIB * PER_GIB;
        if let Some(frames) =
            Frames::chunks(whole, PER_GIB).or_else(|| Frames::chunks(PER_GIB, PER_GIB))
        {
            return Some(frames);
        }
    }
    let mut want = chunks;
    while want > 0 {
        if let Some(frames) = Frames::chunks(want, 1) {
            return Some(frames);
        }
        want /= 2;
    }
    // Others have lent single pages, and no chunk is whole any more.
    Frames::some((CHUNK - start % CHUNK).min(len) / PAGE_SIZE)
}

/// As devices see it, whose accesses are coherent with a guest's caches: a guest that talks to them has its caches on.
impl GuestMemory for GuestFrames {
    #[inline]
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        if self.lending == Lending::Pages {
            return self.read_lent(addr, buf);
        }
        self.each_part(addr, buf.len(), |phys, part| {
            if let Some(buf) = buf.get_mut(part) {
                // SAFETY: `each_part` gives addresses within our own frames.
                unsafe { memory::copy_from(phys, buf) };
            }
        })
    }

    #[inline]
    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        if self.lending == Lending::Pages {
            return self.write_lent(addr, buf);
        }
        self.each_part(addr, buf.len(), |phys, part| {
            if let Some(buf) = buf.get(part) {
                write_at(phys, buf);
            }
        })
    }

    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        usize::try_from(len).is_ok_and(|len| self.parts(addr, len, |_, _| {}).is_ok())
    }
}

impl Lender for GuestFrames {
    fn lend(&self, page: GuestPhysAddr) {
        if self.lending == Lending::Pages && self.run_at(page.0).is_some() {
            self.stage2.write().lend(page.0);
        }
    }

    fn take_back(&self, page: GuestPhysAddr) -> Result<(), NoPage> {
        if self.lending == Lending::Pages && self.run_at(page.0).is_some() {
            return self.stage2.write().take_back(page.0);
        }
        Ok(())
    }

    fn forget_lent(&self) {
        self.stage2.write().forget_waiting();
    }
}

impl Drop for GuestFrames {
    fn drop(&mut self) {
        if self.lending == Lending::Never {
            return;
        }
        let stage2 = self.stage2.get_mut();
        for run in self.runs.drain(..) {
            let range = run.range();
            // Not all of it is ours any more, and other frames are, which the leaves tell.
            run.frames.leak();
            stage2.disown(range);
        }
    }
}
