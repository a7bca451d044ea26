//! A counter's ticks and nanoseconds, converted without division.

use core::sync::atomic::{AtomicU64, Ordering};

/// How fast a counter runs. It is set once, at boot; until then nothing takes any time.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Nanoseconds per tick, as a fixed-point number with 32 fractional bits.
    ns_per_tick: AtomicU64,
    /// Ticks per nanosecond, likewise.
    ticks_per_ns: AtomicU64,
    hz: AtomicU64,
}

impl Rate {
    /// That of a counter of which nothing is known.
    pub(crate) const fn new() -> Self {
        Self {
            ns_per_tick: AtomicU64::new(0),
            ticks_per_ns: AtomicU64::new(0),
            hz: AtomicU64::new(0),
        }
    }

    /// It counts at `hz`, which is not 0.
    pub(crate) fn set(&self, hz: u64) {
        // Relaxed: other CPUs start later, and starting them orders this.
        let hz = u128::from(hz.max(1));
        self.hz.store(hz as u64, Ordering::Relaxed);
        self.ns_per_tick.store(saturate((1_000_000_000 << 32) / hz), Ordering::Relaxed);
        self.ticks_per_ns.store(saturate((hz << 32) / 1_000_000_000), Ordering::Relaxed);
    }

    /// Its frequency in Hz; 0 if it is not known.
    pub(crate) fn hz(&self) -> u64 {
        self.hz.load(Ordering::Relaxed)
    }

    /// Nanoseconds in so many ticks.
    #[inline]
    pub(crate) fn to_ns(&self, ticks: u64) -> u64 {
        scale(ticks, self.ns_per_tick.load(Ordering::Relaxed))
    }

    /// The same, of a counter that does not come so far that it must saturate.
    #[inline]
    pub(crate) fn to_ns_unsaturated(&self, ticks: u64) -> u64 {
        let ns_per_tick = self.ns_per_tick.load(Ordering::Relaxed);
        ((u128::from(ticks) * u128::from(ns_per_tick)) >> 32) as u64
    }

    /// Ticks in so many nanoseconds, rounded down.
    #[inline]
    pub(crate) fn to_ticks(&self, ns: u64) -> u64 {
        scale(ns, self.ticks_per_ns.load(Ordering::Relaxed))
    }

    /// The first tick at which [`Self::to_ns`] has passed `deadline_ns`. Both factors are rounded: without the correction, the
    /// interrupt of a late deadline would come before its time, and who waits for it would see that it is not due.
    #[inline]
    pub(crate) fn tick_after(&self, deadline_ns: u64) -> u64 {
        let ns_per_tick = self.ns_per_tick.load(Ordering::Relaxed);
        tick_after(deadline_ns, self.ticks_per_ns.load(Ordering::Relaxed), ns_per_tick)
    }
}

const fn saturate(value: u128) -> u64 {
    if value > u64::MAX as u128 { u64::MAX } else { value as u64 }
}

/// The least surprising of what cannot be had: the greatest number. A guest may ask for the last tick there is.
const fn scale(value: u64, factor: u64) -> u64 {
    saturate((value as u128 * factor as u128) >> 32)
}

const fn tick_after(deadline_ns: u64, ticks_per_ns: u64, ns_per_tick: u64) -> u64 {
    let ticks = scale(deadline_ns, ticks_per_ns);
    let missing = deadline_ns.saturating_sub(scale(ticks, ns_per_tick));
    let tick = ticks.saturating_add(scale(missing, ticks_per_ns)).saturating_add(1);
    if scale(tick, ns_per_tick) < deadline_ns { tick.saturating_add(1) } else { tick }
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
