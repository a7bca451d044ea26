//! Vocabulary shared by every crate that touches a guest. No hardware is behind any of it.

use crate::time::Instant;
use core::fmt;

/// An address in one guest's physical address space (an IPA in Arm's words), in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Hash)]
pub struct GuestPhysAddr(pub u64);

impl GuestPhysAddr {
    /// The address `bytes` further on, or `None` past the end of the address space.
    #[must_use]
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }
}

impl fmt::Display for GuestPhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Which bus an access goes to. AArch64 guests never produce [`Space::Port`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Space {
    /// Guest physical memory with no RAM behind it.
    Mmio,
    /// The x86 I/O port space.
    Port,
}

/// The width of a device access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Width {
    /// One byte.
    B1 = 1,
    /// Two bytes.
    B2 = 2,
    /// Four bytes.
    B4 = 4,
    /// Eight bytes.
    B8 = 8,
}

impl Width {
    /// The width in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self as u64
    }

    /// The value that an access of this width to an empty bus reads: all ones.
    #[must_use]
    pub const fn ones(self) -> u64 {
        u64::MAX >> (64 - 8 * self as u32)
    }
}

/// The level of an interrupt wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// Not asserted.
    #[default]
    Low,
    /// Asserted.
    High,
}

impl From<bool> for Level {
    fn from(is_high: bool) -> Self {
        if is_high { Self::High } else { Self::Low }
    }
}

/// A device register window: a state machine with no clock, no lock and no I/O of its own.
///
/// Access is total: every offset and every width has an answer. Reserved registers read zero and
/// ignore writes.
pub trait Device: Send {
    /// Reads the register at `offset` bytes from the window's base.
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64;
    /// Writes the register at `offset` bytes from the window's base.
    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant);
    /// Returns to the state after power-on; wires that the device drives go low.
    fn reset(&mut self);
}

/// One wire from a device to an interrupt controller. Devices hold wires, never interrupt numbers.
pub trait IrqLine: Send + Sync {
    /// Drives the wire to `level`. Driving it to the level that it has does nothing.
    fn set(&self, level: Level);
}

/// An access fell outside the guest's RAM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadAddress;

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is outside of the guest's RAM")
    }
}

/// There is no memory for a page that a guest wants back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoPage;

/// RAM that a guest can lend to its host, page by page. Whatever it says, it reaches no RAM but its own.
///
/// A page that is lent goes when its host gets around to it. From then on it is empty: it reads as zeroes, and who writes to
/// it has it again, if there is memory.
pub trait Lender: Send + Sync {
    /// The guest lends the page at `page`. What is no RAM, or lent already, is ignored.
    fn lend(&self, page: GuestPhysAddr);
    /// The guest has the page at `page` back, with what it held or full of zeroes. One that was not lent is ignored.
    ///
    /// # Errors
    ///
    /// There is no memory for it; it stays lent.
    fn take_back(&self, page: GuestPhysAddr) -> Result<(), NoPage>;
    /// The guest lends nothing any more. Pages that are gone already come back when they are touched.
    fn forget_lent(&self);
}

/// The guest's RAM, as a device or a loader sees it.
///
/// It never lends references, and takes `&self` to write: the guest's own CPUs may write at any
/// time, so exclusive access would be a lie. What is copied may be any mixture of old and new bytes,
/// but two, four or eight bytes at a multiple of their number are copied at once.
pub trait GuestMemory {
    /// Copies out of guest RAM.
    ///
    /// # Errors
    ///
    /// [`BadAddress`], having copied nothing, if any byte is outside of RAM.
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress>;
    /// Copies into guest RAM.
    ///
    /// # Errors
    ///
    /// [`BadAddress`], having copied nothing, if any byte is outside of RAM.
    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress>;

    /// Whether all of `len` bytes from `addr` on are RAM. An empty range is.
    ///
    /// Asks for a byte of each page; memory that knows its ranges has a quicker answer.
    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        const PAGE: u64 = 4096;
        let Some(last) = len.checked_sub(1) else { return true };
        let Some(last) = addr.checked_add(last) else { return false };
        let pages = (addr.0 / PAGE + 1..=last.0 / PAGE).map(|page| page * PAGE);
        let mut probes = core::iter::once(addr.0).chain(pages).chain(core::iter::once(last.0));
        probes.all(|probe| self.read(GuestPhysAddr(probe), &mut [0]).is_ok())
    }
}
