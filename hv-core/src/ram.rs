//! The RAM of one guest: its frames, and the stage-2 tables that show them to it.

// UNSAFETY: it copies into and out of the frames that it owns.
#![expect(unsafe_code)]

use crate::arch::current as arch;
use crate::guest::{BadAddress, GuestMemory, GuestPhysAddr};
use crate::machine::Range;
use crate::memory::{self, Dirty, FrameTables, Frames};
use crate::paging::{MapError, Mapping, Memory, Perms, Tables};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Why a guest cannot have its RAM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RamError {
    /// So many bytes are wanted, and so many are free.
    NoMemory {
        /// Bytes wanted.
        wanted: u64,
        /// Bytes free.
        free: u64,
    },
    /// The range cannot be mapped.
    Map(MapError),
    /// No identifier is left for its translations.
    TooManyGuests,
}

impl fmt::Display for RamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory { wanted, free } => {
                write!(f, "{} MiB wanted, {} MiB free", wanted >> 20, free >> 20)
            }
            Self::Map(error) => error.fmt(f),
            Self::TooManyGuests => f.write_str("too many VMs"),
        }
    }
}

const CHUNK: u64 = 2 << 20;
/// What guests leave to the hypervisor itself: its heap must be able to grow, since there is no going on without.
pub(crate) const RESERVE: u64 = 8 << 20;

/// Frames at a guest physical address.
#[derive(Debug)]
struct Run {
    start: u64,
    frames: Frames<Dirty>,
}

/// The frames of one guest's RAM. They go back when the last who has them lets go.
#[derive(Debug)]
pub struct GuestFrames {
    len: u64,
    /// Sorted. Between parts of RAM there are gaps.
    runs: Vec<Run>,
}

/// One guest's RAM and its stage 2. Everything goes back when it is dropped.
#[derive(Debug)]
pub struct GuestRam {
    frames: Arc<GuestFrames>,
    tables: FrameTables,
    root: u64,
    // Dropped first, by hand: no translation may outlive the frames.
    space: Option<arch::SpaceId>,
    last_here: Arc<arch::LastHere>,
}

impl GuestRam {
    /// RAM at these guest physical addresses, in ascending order, each a multiple of 2 MiB. What it holds is unknown: see
    /// [`Self::zero`].
    ///
    /// # Errors
    ///
    /// [`RamError`]; everything that was taken is given back.
    pub fn new(parts: &[Range]) -> Result<Self, RamError> {
        let free = memory::counters().free.saturating_sub(RESERVE);
        let len = parts.iter().map(|part| part.len()).fold(0, u64::saturating_add);
        if len > free {
            return Err(RamError::NoMemory { wanted: len, free });
        }
        let mut runs = Vec::new();
        for part in parts {
            let mut start = part.start;
            while start < part.end {
                let frames = largest_run(start, part.end - start)
                    .ok_or(RamError::NoMemory { wanted: len, free })?;
                let run = Run { start, frames };
                start += run.frames.len();
                runs.push(run);
            }
        }
        let mut tables = FrameTables::default();
        let root = tables.alloc().ok_or(RamError::NoMemory { wanted: len, free })?;
        for run in &runs {
            let mapping = Mapping {
                virt: run.start,
                phys: run.frames.addr(),
                len: run.frames.len(),
                perms: Perms::RWX,
                memory: Memory::Normal,
            };
            arch::map_guest(&mut tables, root, mapping).map_err(RamError::Map)?;
        }
        let space = arch::SpaceId::new().ok_or(RamError::TooManyGuests)?;
        let last_here = Arc::new(arch::LastHere::new());
        let frames = Arc::new(GuestFrames { len, runs });
        Ok(Self { frames, tables, root, space: Some(space), last_here })
    }

    /// Shows the guest a device of the host at `gpa`.
    ///
    /// # Errors
    ///
    /// [`MapError`]: the guest has something there, or there is no memory for a table.
    pub fn map_device(&mut self, gpa: GuestPhysAddr, device: Range) -> Result<(), MapError> {
        let mapping = Mapping {
            virt: gpa.0,
            phys: device.start,
            len: device.len(),
            perms: Perms::RW,
            memory: Memory::Device,
        };
        arch::map_guest(&mut self.tables, self.root, mapping)
    }

    /// Its frames.
    #[must_use]
    pub fn frames(&self) -> Arc<GuestFrames> {
        Arc::clone(&self.frames)
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.frames.len
    }

    /// Whether there is none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.len == 0
    }

    /// Bytes of its stage-2 tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.tables.bytes()
    }

    /// The root of its stage 2, and the identifier of its translations.
    #[must_use]
    pub fn translation(&self) -> arch::Translation {
        arch::Translation::new(self.root, self.space.as_ref())
    }

    /// Which of its vCPUs each CPU had last.
    #[must_use]
    pub fn last_here(&self) -> Arc<arch::LastHere> {
        Arc::clone(&self.last_here)
    }

    /// Zeroes `len` bytes from `offset` on, gaps not counted, down to memory, so that a guest with its caches off sees it.
    /// Returns how many were there to zero.
    pub fn zero(&self, offset: u64, len: u64) -> u64 {
        let end = offset.saturating_add(len).min(self.frames.len);
        let mut done = offset.min(end);
        let mut run_start = 0;
        for run in &self.frames.runs {
            let run_end = run_start + run.frames.len();
            if done < end && done < run_end {
                let part = run_end.min(end) - done;
                run.frames.zero_part(done - run_start, part);
                done += part;
            }
            run_start = run_end;
        }
        done.saturating_sub(offset)
    }

    /// Drops what instruction caches hold: what was written may be executed. Data caches were cleaned by each write.
    pub fn publish(&self) {
        arch::forget_instructions();
    }
}

/// Eight bytes of a guest's RAM, to be looked at again and again.
#[derive(Debug)]
pub(crate) struct RamWord {
    addr: u64,
    /// Whose they are.
    _frames: Arc<GuestFrames>,
}

impl RamWord {
    /// What they hold now.
    #[inline]
    pub(crate) fn read(&self) -> u64 {
        let mut bytes = [0; 8];
        // SAFETY: `GuestFrames::word` found them within the frames that we hold on to.
        unsafe { memory::copy_from(self.addr, &mut bytes) };
        u64::from_le_bytes(bytes)
    }
}

impl GuestFrames {
    /// The eight bytes at `addr`, if they are RAM and in one page.
    pub(crate) fn word(self: &Arc<Self>, addr: GuestPhysAddr) -> Option<RamWord> {
        const PAGE: u64 = crate::paging::PAGE_SIZE;
        if addr.0 % PAGE > PAGE - 8 {
            return None;
        }
        // Runs consist of whole pages.
        let (run, within) = self.run_at(addr.0)?;
        Some(RamWord { addr: run.frames.addr() + within, _frames: Arc::clone(self) })
    }

    fn run_at(&self, gpa: u64) -> Option<(&Run, u64)> {
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
        mut copy: impl FnMut(u64, core::ops::Range<usize>),
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
        mut each: impl FnMut(u64, core::ops::Range<usize>),
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
}

/// The largest piece of at most `len` bytes, aligned for the largest leaves that `start` allows.
fn largest_run(start: u64, len: u64) -> Option<Frames<Dirty>> {
    const PER_GIB: usize = 512;
    let chunks = usize::try_from(len.div_ceil(CHUNK)).ok()?;
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
    None
}

/// As devices see it, whose accesses are coherent with a guest's caches: a guest that talks to them has its caches on.
impl GuestMemory for GuestFrames {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.each_part(addr, buf.len(), |phys, part| {
            if let Some(buf) = buf.get_mut(part) {
                // SAFETY: `each_part` gives addresses within our own frames.
                unsafe { memory::copy_from(phys, buf) };
            }
        })
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.each_part(addr, buf.len(), |phys, part| {
            if let Some(buf) = buf.get(part) {
                // SAFETY: as for `read`.
                unsafe { memory::copy_to(phys, buf) };
            }
        })
    }

    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        usize::try_from(len).is_ok_and(|len| self.parts(addr, len, |_, _| {}).is_ok())
    }
}

/// As loaders see it: a guest starts with its caches off, and may have code there, so what is written goes down to memory.
impl GuestMemory for GuestRam {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.frames.read(addr, buf)
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.frames.write(addr, buf)?;
        self.frames.each_part(addr, buf.len(), |phys, part| arch::clean(phys, part.len() as u64))
    }

    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        self.frames.contains(addr, len)
    }
}

impl Drop for GuestRam {
    fn drop(&mut self) {
        let translation = self.translation();
        if let Some(space) = self.space.take() {
            space.retire(translation);
        }
    }
}

#[cfg(test)]
mod tests;
