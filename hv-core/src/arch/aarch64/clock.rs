//! Time: the system counter, and the hypervisor's own timer. Arm ARM D11.

use super::insn;
use crate::time::Instant;
use core::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds per tick, as a fixed-point number with 32 fractional bits. Written once at boot.
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);
/// Ticks per nanosecond, likewise.
static TICKS_PER_NS: AtomicU64 = AtomicU64::new(0);

/// Reads the frequency of the counter, or takes `fallback` where the firmware has not set it.
pub(super) fn init() -> u64 {
    const FALLBACK_HZ: u64 = 62_500_000;
    let frequency = match insn::cntfrq_el0::read() {
        0 => FALLBACK_HZ,
        frequency => frequency,
    };
    // Relaxed: other CPUs start later, and starting them orders this.
    NS_PER_TICK
        .store(((1_000_000_000_u128 << 32) / u128::from(frequency)) as u64, Ordering::Relaxed);
    TICKS_PER_NS.store(((u128::from(frequency) << 32) / 1_000_000_000) as u64, Ordering::Relaxed);
    frequency
}

const fn scale(value: u64, factor: u64) -> u64 {
    ((value as u128 * factor as u128) >> 32) as u64
}

/// Nanoseconds in so many ticks.
#[inline]
pub(super) fn ticks_to_ns(ticks: u64) -> u64 {
    scale(ticks, NS_PER_TICK.load(Ordering::Relaxed))
}

/// Ticks in so many nanoseconds, rounded down.
#[inline]
pub(super) fn ns_to_ticks(ns: u64) -> u64 {
    scale(ns, TICKS_PER_NS.load(Ordering::Relaxed))
}

/// Now.
#[inline]
pub(crate) fn now() -> Instant {
    Instant(ticks_to_ns(insn::counter()))
}

/// Raises the hypervisor timer's interrupt at `deadline`, or never.
#[inline]
pub(crate) fn set_timer(deadline: Instant) {
    const ENABLE: u64 = 1;
    if deadline == Instant::NEVER {
        insn::cnthp_ctl_el2::write(0);
        return;
    }
    // One tick more, so that the deadline has passed by our own clock when the interrupt comes.
    insn::cnthp_cval_el2::write(ns_to_ticks(deadline.0).saturating_add(1));
    insn::cnthp_ctl_el2::write(ENABLE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_of_62_5_mhz_is_16_ns() {
        let factor = ((1_000_000_000_u128 << 32) / 62_500_000) as u64;
        assert_eq!(scale(1, factor), 16);
        assert_eq!(scale(62_500_000 * 3600, factor), 3_600_000_000_000);
    }

    #[test]
    fn an_odd_frequency_drifts_less_than_a_microsecond_an_hour() {
        let factor = ((1_000_000_000_u128 << 32) / 19_200_000) as u64;
        let hour = scale(19_200_000 * 3600, factor);
        assert!(3_600_000_000_000 - hour < 100_000, "{hour}");
    }
}
