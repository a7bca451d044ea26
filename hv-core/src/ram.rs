//! The RAM of one guest: its frames, and the stage-2 tables that show them to it.

mod frames;
mod stage2;

use crate::arch::current as arch;
use crate::guest::{BadAddress, GuestMemory, GuestPhysAddr, NoPage};
use crate::machine::Range;
use crate::memory;
use crate::paging::{MapError, Mapping, Memory, PAGE_SIZE, Perms};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
pub(crate) use frames::RamWord;
pub use frames::{GuestFrames, Lending};
use stage2::Stage2;

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

/// What guests leave to the hypervisor itself: its heap must be able to grow, since there is no going on without.
pub(crate) const RESERVE: u64 = 8 << 20;

/// Bytes that guests may still have.
#[must_use]
pub fn available() -> u64 {
    memory::counters().free.saturating_sub(RESERVE)
}

/// Whether an address is one of RAM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Touched {
    /// It is, and its page is there now: whoever missed it may try again.
    Present,
    /// No page can be there.
    Nothing,
}

/// One guest's RAM and its stage 2. Everything goes back when it is dropped.
#[derive(Debug)]
pub struct GuestRam {
    frames: Arc<GuestFrames>,
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
    pub fn new(parts: &[Range], lending: Lending) -> Result<Self, RamError> {
        let frames = Arc::new(GuestFrames::new(parts, lending)?);
        let root = frames.stage2.read().root();
        let space = arch::SpaceId::new().ok_or(RamError::TooManyGuests)?;
        let last_here = Arc::new(arch::LastHere::new());
        Ok(Self { frames, root, space: Some(space), last_here })
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
        self.frames.stage2.write().map(mapping)
    }

    /// Its frames.
    #[must_use]
    pub fn frames(&self) -> Arc<GuestFrames> {
        Arc::clone(&self.frames)
    }

    /// Bytes of RAM.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.frames.len()
    }

    /// Whether there is none: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.len() == 0
    }

    /// Bytes of its stage-2 tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.frames.stage2.read().table_bytes()
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
    /// Returns how many were there to zero. Pages that were lent come back.
    ///
    /// # Errors
    ///
    /// There is no memory for a page that was lent.
    pub fn zero(&self, offset: u64, len: u64) -> Result<u64, RamError> {
        let end = offset.saturating_add(len).min(self.frames.len());
        let mut done = offset.min(end);
        let mut run_start = 0;
        for run in &self.frames.runs {
            let run_end = run_start + run.frames.len();
            if done < end && done < run_end {
                let part = run_end.min(end) - done;
                match self.frames.lending() {
                    Lending::Never => run.frames.zero_part(done - run_start, part),
                    Lending::Pages => self.zero_lent(run.start + (done - run_start), part)?,
                }
                done += part;
            }
            run_start = run_end;
        }
        Ok(done.saturating_sub(offset))
    }

    /// Zeroes RAM of which pages come and go.
    fn zero_lent(&self, start: u64, len: u64) -> Result<(), RamError> {
        let mut gpa = start;
        while gpa < start + len {
            // Locked for a leaf at a time, since devices may be waiting.
            let mut stage2 = self.frames.stage2.write();
            let rest = start + len - gpa;
            gpa += stage2.zero(gpa, rest).map_err(|NoPage| self.no_memory(&stage2))?;
        }
        Ok(())
    }

    fn no_memory(&self, stage2: &Stage2) -> RamError {
        let wanted = stage2.lent_pages().1 * PAGE_SIZE;
        RamError::NoMemory { wanted, free: available() }
    }

    /// Bytes that the guest has lent: of pages that still wait for [`Self::collect`], and of those that are gone.
    #[must_use]
    pub fn lent(&self) -> (u64, u64) {
        if self.frames.lending() == Lending::Never {
            return (0, 0);
        }
        let (waiting, gone) = self.frames.stage2.read().lent_pages();
        (waiting * PAGE_SIZE, gone * PAGE_SIZE)
    }

    /// Gives some of the pages that wait back to the machine. No vCPU of the guest is loaded anywhere.
    pub fn collect(&self) {
        /// Pages taken at a time: 8 MiB.
        const PAGES: usize = 2048;
        let Some(space) = &self.space else { return };
        let mut frames = Vec::new();
        if frames.try_reserve_exact(PAGES).is_err() {
            return;
        }
        // Before, since leaves become tables, and no CPU may know of both (Arm ARM D8.16.1); and after, since the frames may
        // be somebody else's next.
        space.forget(self.translation());
        self.frames.stage2.write().collect(&mut frames);
        space.forget(self.translation());
    }

    /// The guest missed the page at `addr`: it comes back if it was lent.
    #[inline]
    pub fn touch(&self, addr: GuestPhysAddr) -> Touched {
        match self.frames.lending() {
            Lending::Never => Touched::Nothing,
            Lending::Pages => self.bring_back(addr),
        }
    }

    fn bring_back(&self, addr: GuestPhysAddr) -> Touched {
        if self.frames.run_at(addr.0).is_none() {
            return Touched::Nothing;
        }
        match self.frames.stage2.write().touch(addr.0) {
            Ok(()) => Touched::Present,
            Err(NoPage) => Touched::Nothing,
        }
    }

    /// Drops what instruction caches hold: what was written may be executed. Data caches were cleaned by each write.
    pub fn publish(&self) {
        arch::forget_instructions();
    }
}

/// As loaders see it: a guest starts with its caches off, and may have code there, so what is written goes down to memory.
impl GuestMemory for GuestRam {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.frames.read(addr, buf)
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.frames.write(addr, buf)?;
        self.frames.clean(addr, buf.len())
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
