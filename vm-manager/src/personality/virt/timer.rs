//! The physical timer of a guest (CNTP), which is emulated: its registers trap, and the hypervisor's timer stands in for it.
//! Arm ARM D11.2.

use super::ArmCpu;
use crate::irqchip::vgic::Vgic;
use crate::virt_map;
use hv_core::guest::Level;
use hv_core::time::Instant;

const ENABLE: u64 = 1;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;
const INTID: u32 = virt_map::TIMER_PHYSICAL_PPI.intid();

/// `CNTP_CTL_EL0` and `CNTP_CVAL_EL0` of one vCPU.
#[derive(Debug, Default)]
pub(super) struct PhysicalTimer {
    control: u64,
    compare: u64,
}

impl PhysicalTimer {
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.control & ENABLE != 0
    }

    /// When it raises its interrupt, if it has not yet.
    #[inline]
    pub(super) fn deadline(&self, cpu: &impl ArmCpu) -> Instant {
        if self.control & (ENABLE | IMASK | ISTATUS) != ENABLE {
            return Instant::NEVER;
        }
        cpu.time_of(self.compare)
    }

    /// Looks at the time, and drives the interrupt.
    pub(super) fn update(&mut self, cpu: &impl ArmCpu, vgic: &Vgic, vcpu: usize) {
        self.control = self.control(cpu);
        let level = Level::from(self.control & (ENABLE | IMASK | ISTATUS) == ENABLE | ISTATUS);
        vgic.set_private_level(vcpu, INTID, level);
    }

    /// `CNTP_CTL_EL0`.
    pub(super) fn control(&self, cpu: &impl ArmCpu) -> u64 {
        // Both are unsigned, so that the largest value is never met: D11.2.4.
        let is_met = cpu.counter() >= self.compare;
        let settings = self.control & (ENABLE | IMASK);
        if is_met && self.is_on() { settings | ISTATUS } else { settings }
    }

    /// `CNTP_CVAL_EL0`.
    pub(super) fn compare(&self) -> u64 {
        self.compare
    }

    /// `CNTP_TVAL_EL0`.
    pub(super) fn remaining(&self, cpu: &impl ArmCpu) -> u64 {
        self.compare.wrapping_sub(cpu.counter()) & 0xffff_ffff
    }

    /// Writes `CNTP_CTL_EL0`; [`Self::update`] follows.
    pub(super) fn set_control(&mut self, value: u64) {
        self.control = value & (ENABLE | IMASK);
    }

    /// Writes `CNTP_CVAL_EL0`; [`Self::update`] follows.
    pub(super) fn set_compare(&mut self, value: u64) {
        self.compare = value;
    }

    /// Writes `CNTP_TVAL_EL0`: a signed number of 32 bits; [`Self::update`] follows.
    pub(super) fn set_remaining(&mut self, value: u64, cpu: &impl ArmCpu) {
        let ticks = i64::from(value as u32 as i32);
        self.compare = cpu.counter().wrapping_add_signed(ticks);
    }
}
