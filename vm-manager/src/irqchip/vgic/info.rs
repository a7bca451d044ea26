//! What an operator may want to know of a virtual GIC.

use super::bank::Bank;
use super::{Version, Vgic};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

/// The state of a virtual GIC, as last known: what the guest did since the last flush of each vCPU
/// is not in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VgicInfo {
    /// Which GIC the guest sees.
    pub version: Version,
    /// How many shared interrupts it has.
    pub spis: u32,
    /// Whether the distributor forwards Group 0 and Group 1.
    pub forwards: [bool; 2],
    /// Register accesses that were refused.
    pub refused: u64,
    /// The shared interrupts.
    pub shared: Counts,
    /// The private interrupts and list registers of each vCPU.
    pub cpus: Vec<CpuInfo>,
}

/// How many interrupts are in a state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Enabled.
    pub enabled: u32,
    /// Pending.
    pub pending: u32,
    /// Active.
    pub active: u32,
}

/// One vCPU's part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuInfo {
    /// Its private interrupts.
    pub private: Counts,
    /// How many list registers it uses.
    pub list_registers: u32,
}

impl Counts {
    fn add(&mut self, bank: &Bank) {
        self.enabled += bank.enabled.count_ones();
        self.pending += (bank.pending() | bank.lr_pending).count_ones();
        self.active += bank.active.count_ones();
    }
}

impl Vgic {
    /// The state for an operator.
    #[must_use]
    pub fn info(&self) -> VgicInfo {
        let control = self.control.load(Ordering::Relaxed);
        let cpus = self.cpus.iter().map(|shared| {
            let cpu = shared.peek();
            let mut private = Counts::default();
            private.add(&cpu.bank);
            CpuInfo { private, list_registers: cpu.used.count_ones() }
        });
        let cpus = cpus.collect();
        let mut shared = Counts::default();
        for spi in self.spis.lock().iter() {
            shared.add(&spi.bank);
        }
        VgicInfo {
            version: self.version,
            spis: self.spi_count,
            forwards: [control & 1 != 0, control & 2 != 0],
            refused: self.refused.load(Ordering::Relaxed),
            shared,
            cpus,
        }
    }
}
