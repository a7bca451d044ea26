//! Loading: which bytes of which file go where in a guest's RAM, and getting them there.
//!
//! It is done in two parts. A [`Plan`] is made from the headers of the files: it says where the
//! kernel, the initial RAM disk, the device tree and further files go, and all that can be wrong
//! with that is found before anything is written. A [`Loader`] then copies, a slice at a time, so
//! that the CPU that does it has time for others between two slices.
//!
//! ```text
//! VmConfig ──► Request ──► Plan ──► (device tree, from its addresses) ──► Loader ──► RAM
//! ```
//!
//! Guest RAM is zero before, so that what lies between the files, and behind the data of a
//! segment, need not be written.

use core::fmt;
use hv_core::guest::GuestPhysAddr;

mod content;
mod e820;
mod elf;
mod error;
mod gzip;
mod layout;
mod linux_arm64;
mod linux_x86;
mod loader;
mod long_mode;
mod multiboot;
mod pc_plan;
mod plan;
mod pvh;
mod request;
mod sniff;
mod source;

pub use error::LoadError;
pub use loader::{Loader, Progress};
pub use pc_plan::{PcBoot, PcPlan};
pub use plan::Plan;
pub use request::{File, Images, Request};
pub use source::{ReadError, Source};

/// Guest physical addresses from `start` to before `end`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Region {
    /// The first address.
    pub start: GuestPhysAddr,
    /// The address behind the last.
    pub end: GuestPhysAddr,
}

impl Region {
    /// The region of `bytes` from `start`, or `None` past the end of the address space.
    #[must_use]
    pub fn new(start: GuestPhysAddr, bytes: u64) -> Option<Self> {
        Some(Self { start, end: start.checked_add(bytes)? })
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether `addr` is in it.
    #[must_use]
    pub fn contains(self, addr: GuestPhysAddr) -> bool {
        self.start <= addr && addr < self.end
    }

    fn encloses(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests;
