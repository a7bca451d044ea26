//! The registers of a guest that stay in the CPU while its vCPU is loaded.

use hv_core::arch::aarch64::TimerState;
use hv_core::time::Instant;

/// The length of a tick: that of QEMU's counter. It is not one, so that units cannot be mistaken.
pub(crate) const TICK_NS: u64 = 16;

/// What [`load`](hv_core::vcpu::GuestCpu::load) puts into a CPU and `put` takes out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct El1 {
    /// A register that means nothing to the hardware.
    pub(crate) tpidr: u64,
    /// `CNTV_CTL_EL0`, without ISTATUS.
    pub(crate) timer_control: u64,
    /// `CNTV_CVAL_EL0`.
    pub(crate) timer_compare: u64,
    /// `CNTVOFF_EL2`, in nanoseconds.
    pub(crate) behind_ns: u64,
    /// Interrupts that the guest has acknowledged and not ended: priority, number, sender.
    pub(crate) running: Vec<(u8, u32, u8)>,
}

impl El1 {
    /// When the virtual timer raises its interrupt.
    pub(crate) fn timer(&self) -> TimerState {
        if self.timer_control & 0b11 != 0b01 {
            return TimerState::Off;
        }
        TimerState::At(Instant(
            self.timer_compare.saturating_mul(TICK_NS).saturating_add(self.behind_ns),
        ))
    }

    /// The guest's counter.
    pub(crate) fn counter(&self, now: Instant) -> u64 {
        now.0.wrapping_sub(self.behind_ns) / TICK_NS
    }
}
