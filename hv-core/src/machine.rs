//! The machine as the composition root gets it: what is there, and the authority to use it.

use crate::mmio::Mmio;
use alloc::vec::Vec;

/// A range of physical addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    /// Its first byte.
    pub start: u64,
    /// The byte behind its last.
    pub end: u64,
}

impl Range {
    /// Bytes in it.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether any byte is in both.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Grown to whole pages of 4 KiB.
    #[must_use]
    pub const fn page_aligned(self) -> Self {
        const MASK: u64 = crate::paging::PAGE_SIZE - 1;
        Self { start: self.start & !MASK, end: self.end.saturating_add(MASK) & !MASK }
    }

    /// The registers there, as a device's. Whoever calls this has read in the device tree that they are.
    #[must_use]
    pub(crate) fn device(self) -> Mmio {
        // UNSAFETY: see below.
        #[expect(unsafe_code, reason = "the device tree says that this is a device")]
        // SAFETY: the device tree, which describes the machine, says that these are registers. They are
        // those of an interrupt controller, a UART or a clock, none of which masters the bus.
        unsafe {
            Mmio::new(self.start, self.len())
        }
    }
}

/// What the boot found. There is one value of it.
#[derive(Debug)]
pub struct Machine {
    /// What the machine calls itself.
    pub model: &'static str,
    /// Roost's command line.
    pub command_line: &'static str,
    /// The bundle of images and configurations, if the boot loader brought one.
    pub bundle: Option<&'static [u8]>,
    /// What the boot noticed that the operator should know.
    pub notes: Vec<alloc::string::String>,
    /// How many CPUs the machine has, those that failed to start included.
    pub cpus_present: usize,
    /// Seconds since 1970-01-01 00:00 UTC, if the machine has a clock that tells.
    pub wall_clock_seconds: Option<u64>,
}

/// What took a guest off its CPU, or woke the CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostEvent {
    /// Another CPU has something for this one.
    Kick,
    /// The deadline set by `set_timer` is reached.
    Timer,
    /// The console UART has received something, or can send more.
    Console,
    /// A disk of the host has ended commands.
    Disk,
    /// A network card of the host has received something, or its link has changed.
    Network,
    /// The loaded vCPU's own timer fired. It stays acknowledged until the guest deactivates it.
    GuestTimer,
    /// The virtual interrupt controller asks for service.
    GuestInterruptController,
    /// An interrupt of this number, which nobody asked for.
    Spurious(u32),
}

/// How the machine is to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Power off.
    Off,
    /// Restart.
    Restart,
    /// Under an emulator, end it with this status.
    Exit(u8),
}
