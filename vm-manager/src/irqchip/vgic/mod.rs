//! The virtual GIC: distributor, redistributors and the feeding of list registers, for GICv2
//! (IHI 0048) and GICv3 (IHI 0069).
//!
//! ```text
//!  devices ── SpiLine ─→ ┌──────┐            ┌────────────┐ flush   ┌────────────────┐
//!  guest ──── read/write │ Spis │ ─────────→ │ Cpu 0..8   │ ──────→ │ list registers │ ─→ guest
//!  timers ── inject_hw ─→└──────┘            │ SGIs, PPIs │ ←────── │ of this CPU    │
//!  guest ──── send_sgi ────────────────────→ └────────────┘  fold   └────────────────┘
//! ```
//!
//! GICv2 has one distributor with banked registers, and SGIs go through `GICD_SGIR`. On GICv3 affinity routing is always on, there is
//! one security state, and each vCPU has a redistributor.
//!
//! # The contract with the CPU loop
//!
//! - [`GicClient::notify`] says: [`flush`](Vgic::flush) has to run before this vCPU enters the
//!   guest again. It may come from any CPU, and from within any method that is not a mere query.
//! - At a maintenance interrupt: [`flush`](Vgic::flush).
//! - When a vCPU leaves its CPU: [`fold_all`](Vgic::fold_all), also when it is off or paused. When
//!   it is loaded again: the active state of its physical interrupts from
//!   [`hw_state`](Vgic::hw_state), and a flush.
//! - List registers are passed to methods only on the CPU that has that vCPU loaded.
//!
//! # Locks
//!
//! Each vCPU has one, the shared interrupts have one. Order: a vCPU's before that of the shared
//! interrupts; never two vCPUs' at once. The client is called with none held.

mod bank;
mod bits;
mod cpu;
mod distributor;
mod exchange;
mod fast;
mod flush;
mod identity;
mod info;
mod interrupts;
mod line;
mod place;
mod redistributor;
mod register;
mod settle;
mod sgi;
mod spi;
#[cfg(test)]
mod tests;

pub use self::info::{Counts, CpuInfo, VgicInfo};
pub use self::line::SpiLine;
pub use self::sgi::SgiRegister;
pub use hv_core::arch::aarch64::GicVersion as Version;

use self::bank::{Bit, Gates};
use self::cpu::{Cpu, SharedCpu};
use self::spi::{FIRST_SPI, Spis};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use hv_core::guest::Level;
use hv_core::sync::Mutex;

/// The most vCPUs that one VM has.
pub const MAX_VCPUS: usize = 8;

/// The most shared interrupts that one VM has: numbers 32 to 1019.
pub const MAX_SPIS: u32 = 988;

/// What the virtual GIC needs from its VM.
pub trait GicClient: Send + Sync {
    /// Has `vcpu` call [`Vgic::flush`] before it enters the guest again: wakes it if it is blocked,
    /// kicks it if it runs. It is called with no lock of the virtual GIC held, and must not wait.
    fn notify(&self, vcpu: usize);

    /// Deactivates the physical interrupt `physical` on this CPU, which has `vcpu` loaded: the guest
    /// ended it by a write to a register instead of through its list register.
    fn deactivate(&self, vcpu: usize, physical: u32);
}

/// What a virtual GIC cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadGeometry {
    /// So many vCPUs.
    Vcpus(usize),
    /// So many shared interrupts.
    Spis(u32),
}

impl fmt::Display for BadGeometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vcpus(count) => write!(f, "{count} vCPUs: a GIC serves 1 to {MAX_VCPUS}"),
            Self::Spis(count) => write!(
                f,
                "{count} shared interrupts: a GIC has a multiple of 32, or {MAX_SPIS}, at most"
            ),
        }
    }
}

/// Which block of registers an access goes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// The distributor: 4 KiB on GICv2, 64 KiB on GICv3.
    Distributor,
    /// GICv3: the two frames of 64 KiB, one after the other, of the redistributor of this vCPU.
    Redistributor(usize),
}

/// Whether something stands behind a private interrupt that came by [`Vgic::inject_hw`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HwState {
    /// The guest is done with it: the physical interrupt has to be inactive.
    Inactive,
    /// It waits for the guest, or the guest for its end: the physical interrupt has to be active.
    PendingOrActive,
}

/// The virtual GIC of one VM. See the front of this file.
pub struct Vgic {
    version: Version,
    client: Arc<dyn GicClient>,
    cpus: Vec<SharedCpu>,
    /// Lock order: after any vCPU's state.
    spis: Mutex<Spis>,
    spi_count: u32,
    /// The low two bits of `GICD_CTLR`. Release and Acquire are not needed for the bits themselves;
    /// who changes them notifies every vCPU afterwards.
    control: AtomicU8,
    /// `GICD_TYPER`, which guests read often.
    typer: u32,
    /// Accesses that no register answered: a mere count.
    refused: AtomicU64,
}

impl Vgic {
    /// A virtual GIC after power-on, for `vcpus` vCPUs and `spis` shared interrupts.
    ///
    /// # Errors
    ///
    /// [`BadGeometry`] if there are none or too many vCPUs, or if `spis` is neither a multiple of
    /// 32 below [`MAX_SPIS`] nor that.
    pub fn new(
        version: Version,
        vcpus: usize,
        spis: u32,
        client: Arc<dyn GicClient>,
    ) -> Result<Arc<Self>, BadGeometry> {
        if vcpus == 0 || vcpus > MAX_VCPUS {
            return Err(BadGeometry::Vcpus(vcpus));
        }
        if spis > MAX_SPIS || (!spis.is_multiple_of(32) && spis != MAX_SPIS) {
            return Err(BadGeometry::Spis(spis));
        }
        Ok(Arc::new(Self {
            version,
            client,
            cpus: (0..vcpus).map(|_| SharedCpu::new(version)).collect(),
            spis: Mutex::new(Spis::new(spis, version, vcpus)),
            spi_count: spis,
            control: AtomicU8::new(0),
            typer: identity::typer(version, vcpus, spis),
            refused: AtomicU64::new(0),
        }))
    }

    /// Which GIC the guest sees.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns to the state after power-on; all wires are low. No vCPU may be loaded: what is in
    /// list registers is forgotten.
    pub fn reset(&self) {
        for cpu in &self.cpus {
            *cpu.change() = Cpu::new(self.version);
            cpu.spi_work.store(0, Ordering::Relaxed);
        }
        *self.spis.lock() = Spis::new(self.spi_count, self.version, self.cpus.len());
        self.control.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
    }

    /// Drives the wire of the shared interrupt `intid`; other numbers are ignored. Devices use a
    /// [`SpiLine`].
    pub fn set_level(&self, intid: u32, level: Level) {
        let gates = self.gates();
        let bit = Bit::of(intid);
        self.change_shared(intid as usize / 32, |spi| {
            if spi.bank.drive(bit, level, gates) { bit.mask() } else { 0 }
        });
    }

    /// Drives the wire of the private interrupt `intid` (16 to 31) of `vcpu`; others are ignored.
    pub fn set_private_level(&self, vcpu: usize, intid: u32, level: Level) {
        let Some(shared) = self.cpus.get(vcpu) else { return };
        if !(16..FIRST_SPI).contains(&intid) {
            return;
        }
        if shared.change().bank.drive(Bit::of(intid), level, self.gates()) {
            self.client.notify(vcpu);
        }
    }

    /// What the distributor forwards.
    fn gates(&self) -> Gates {
        Gates::from_control(self.control.load(Ordering::Relaxed))
    }

    /// Tells each of the vCPUs in the bit map `concerned` that one of the bit map `banks` wants it to
    /// flush. No lock is held.
    fn alert(&self, concerned: u32, banks: u32) {
        let mut left = concerned;
        while left != 0 {
            let vcpu = left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some(shared) = self.cpus.get(vcpu) {
                shared.spi_work.fetch_or(banks, Ordering::Release);
                self.client.notify(vcpu);
            }
        }
    }
}
