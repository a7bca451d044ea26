//! What this crate needs of the machine below it, so that a test can be one.

use crate::board::Board;
use crate::plug::{Order, Plug};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_core::guest::{GuestMemory, GuestPhysAddr, Lender};
use hv_core::machine::{HostEvent, Range};
use hv_core::ram::{GuestRam, Lending, RamError, Touched};
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// The RAM of one guest, as its manager sees it.
pub trait Ram: GuestMemory + Send + Sync {
    /// Bytes of RAM.
    fn bytes(&self) -> u64;
    /// Zeroes up to `len` bytes from `offset` on; returns how many were there to zero. What was lent comes back.
    ///
    /// # Errors
    ///
    /// There is no memory for what was lent.
    fn zero(&self, offset: u64, len: u64) -> Result<u64, RamError>;
    /// What was written is about to be executed: no CPU may hold older instructions.
    fn publish(&self);
    /// The same RAM for devices, which may outlive it by a moment.
    fn share(&self) -> Arc<dyn GuestMemory + Send + Sync>;
    /// Bytes of the tables that show it to the guest.
    fn table_bytes(&self) -> u64;
    /// What a guest that may lend pages of it lends them to.
    fn lender(&self) -> Option<Arc<dyn Lender>> {
        None
    }
    /// Bytes that are lent: of pages that wait for [`Self::collect`], and of those that are gone.
    fn lent(&self) -> (u64, u64) {
        (0, 0)
    }
    /// Takes some of the pages that wait. No vCPU is loaded.
    fn collect(&self) {}
    /// A vCPU missed the page at `addr`, which comes back if it was lent.
    fn touch(&self, addr: GuestPhysAddr) -> Touched {
        let _ = addr;
        Touched::Nothing
    }
}

impl Ram for GuestRam {
    fn bytes(&self) -> u64 {
        self.len()
    }

    fn zero(&self, offset: u64, len: u64) -> Result<u64, RamError> {
        Self::zero(self, offset, len)
    }

    fn publish(&self) {
        Self::publish(self);
    }

    fn share(&self) -> Arc<dyn GuestMemory + Send + Sync> {
        self.frames()
    }

    fn table_bytes(&self) -> u64 {
        Self::table_bytes(self)
    }

    fn lender(&self) -> Option<Arc<dyn Lender>> {
        Some(self.frames())
    }

    fn lent(&self) -> (u64, u64) {
        Self::lent(self)
    }

    fn collect(&self) {
        Self::collect(self);
    }

    #[inline]
    fn touch(&self, addr: GuestPhysAddr) -> Touched {
        Self::touch(self, addr)
    }
}

/// The machine: CPUs, time, memory. All methods act on the CPU that calls them.
pub trait Platform: Send + Sync + Sized + 'static {
    /// One guest CPU.
    type Cpu: GuestCpu;
    /// The RAM of one guest.
    type Ram: Ram;
    /// The machine that guests see.
    type Board: Board<Self>;

    /// Now.
    fn now(&self) -> Instant;
    /// The number of this CPU.
    fn cpu_index(&self) -> usize;
    /// Takes CPU `cpu` out of its guest or its sleep.
    fn kick(&self, cpu: usize);
    /// Sleeps until an interrupt waits.
    fn sleep(&self);
    /// Tells the CPU that another one is waited for.
    fn pause(&self);
    /// Raises [`HostEvent::Timer`] at `deadline`, once, or never.
    fn set_timer(&self, deadline: Instant);
    /// The next interrupt that waits, taken.
    fn next_event(&self) -> Option<HostEvent>;

    /// A disk of the host has interrupted: tells whose requests have ended. Returns when somebody has to look after the disks
    /// at the latest, [`Instant::NEVER`] if nothing is waited for.
    fn hear_disks(&self) -> Instant;
    /// Deactivates the interrupt of [`HostEvent::GuestTimer`].
    fn deactivate_guest_timer(&self);
    /// Why no guest can run here, if none can.
    fn why_no_guests(&self) -> Option<String> {
        None
    }
    /// The devices that a VM has beside those of its machine.
    ///
    /// # Errors
    ///
    /// Says what is missing for one of them.
    fn plugs(&self, order: &Order<'_>) -> Result<Vec<Box<dyn Plug>>, String> {
        let _ = order;
        Ok(Vec::new())
    }
    /// RAM for a guest, at these guest physical addresses: in ascending order, each a multiple of 2 MiB.
    ///
    /// # Errors
    ///
    /// [`RamError`]; nothing was taken.
    fn new_ram(&self, parts: &[Range], lending: Lending) -> Result<Self::Ram, RamError>;
    /// Numbers that nobody can guess, others each time, for a guest's own generator to start from.
    fn seed(&self) -> [u64; 4];
    /// Bytes of memory that guests may still have.
    fn available(&self) -> u64;
}
