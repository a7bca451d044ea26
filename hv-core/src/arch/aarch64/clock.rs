//! Time: the system counter, and the hypervisor's own timer. Arm ARM D11.

use super::insn;
use crate::ticks::Rate;
use crate::time::Instant;

/// That of the system counter.
static RATE: Rate = Rate::new();

/// Reads the frequency of the counter, or takes a usual one where the firmware has not set it.
pub(super) fn init() {
    const FALLBACK_HZ: u64 = 62_500_000;
    RATE.set(match insn::cntfrq_el0::read() {
        0 => FALLBACK_HZ,
        frequency => frequency,
    });
}

/// Nanoseconds in so many ticks.
#[inline]
pub(super) fn ticks_to_ns(ticks: u64) -> u64 {
    RATE.to_ns(ticks)
}

/// Ticks in so many nanoseconds, rounded down.
#[inline]
pub(super) fn ns_to_ticks(ns: u64) -> u64 {
    RATE.to_ticks(ns)
}

/// Now.
#[inline]
pub(crate) fn now() -> Instant {
    Instant(RATE.to_ns_unsaturated(insn::counter()))
}

/// Raises the hypervisor timer's interrupt at `deadline`, or never.
#[inline]
pub(crate) fn set_timer(deadline: Instant) {
    const ENABLE: u64 = 1;
    if deadline == Instant::NEVER {
        insn::cnthp_ctl_el2::write(0);
        return;
    }
    insn::cnthp_cval_el2::write(RATE.tick_after(deadline.0));
    insn::cnthp_ctl_el2::write(ENABLE);
}
