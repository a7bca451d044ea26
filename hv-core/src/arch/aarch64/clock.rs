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

/// The least surprising of what cannot be had: the greatest number. A guest may ask for the last tick there is.
const fn scale(value: u64, factor: u64) -> u64 {
    let scaled = (value as u128 * factor as u128) >> 32;
    if scaled > u64::MAX as u128 { u64::MAX } else { scaled as u64 }
}

/// The tick at which our own clock has passed `deadline_ns`. Both factors are rounded: without the correction, the
/// interrupt of a late deadline would come before its time, and who waits for it would see that it is not due.
const fn tick_after(deadline_ns: u64, ticks_per_ns: u64, ns_per_tick: u64) -> u64 {
    let ticks = scale(deadline_ns, ticks_per_ns);
    let missing = deadline_ns.saturating_sub(scale(ticks, ns_per_tick));
    let tick = ticks.saturating_add(scale(missing, ticks_per_ns)).saturating_add(1);
    if scale(tick, ns_per_tick) < deadline_ns { tick.saturating_add(1) } else { tick }
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
    // No need to saturate: the counter does not come that far.
    let ns_per_tick = NS_PER_TICK.load(Ordering::Relaxed);
    let nanoseconds = (u128::from(insn::counter()) * u128::from(ns_per_tick)) >> 32;
    Instant(nanoseconds as u64)
}

/// Raises the hypervisor timer's interrupt at `deadline`, or never.
#[inline]
pub(crate) fn set_timer(deadline: Instant) {
    const ENABLE: u64 = 1;
    if deadline == Instant::NEVER {
        insn::cnthp_ctl_el2::write(0);
        return;
    }
    let (ticks_per_ns, ns_per_tick) =
        (TICKS_PER_NS.load(Ordering::Relaxed), NS_PER_TICK.load(Ordering::Relaxed));
    insn::cnthp_cval_el2::write(tick_after(deadline.0, ticks_per_ns, ns_per_tick));
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
    fn far_times_are_the_last_there_is() {
        let factor = ((1_000_000_000_u128 << 32) / 62_500_000) as u64;
        assert_eq!(scale(u64::MAX / 2, factor), u64::MAX);
        assert_eq!(scale(u64::MAX, factor), u64::MAX);
    }

    #[test]
    fn an_interrupt_does_not_come_before_its_time() {
        for frequency in
            [19_200_000, 24_000_000, 25_000_000, 54_000_000, 62_500_000, 1_000_000_000_u64]
        {
            let to_ns = ((1_000_000_000_u128 << 32) / u128::from(frequency)) as u64;
            let to_ticks = ((u128::from(frequency) << 32) / 1_000_000_000) as u64;
            for exponent in 0..60 {
                for deadline in
                    [1_u64 << exponent, (1 << exponent) + 12345, (1 << exponent) * 3 / 2]
                {
                    let tick = tick_after(deadline, to_ticks, to_ns);
                    assert!(scale(tick, to_ns) >= deadline, "{frequency} {deadline}");
                }
            }
        }
    }

    #[test]
    fn an_odd_frequency_drifts_less_than_a_microsecond_an_hour() {
        let factor = ((1_000_000_000_u128 << 32) / 19_200_000) as u64;
        let hour = scale(19_200_000 * 3600, factor);
        assert!(3_600_000_000_000 - hour < 100_000, "{hour}");
    }
}
