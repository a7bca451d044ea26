//! Counters that run at a fixed frequency, derived from the nanoseconds that a device is given.

use hv_core::time::Instant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A frequency of 1 Hz to 1 GHz.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frequency(u64);

impl Frequency {
    /// The frequency nearest to `hertz` that a device can run at.
    #[must_use]
    pub const fn from_hertz(hertz: u32) -> Self {
        let hertz = hertz as u64;
        Self(if hertz == 0 {
            1
        } else if hertz > NANOS_PER_SECOND {
            NANOS_PER_SECOND
        } else {
            hertz
        })
    }

    /// Ticks until `now` of a counter that was zero at `Instant(0)`.
    #[inline]
    #[must_use]
    pub const fn ticks(self, now: Instant) -> u64 {
        let (seconds, rest) = (now.0 / NANOS_PER_SECOND, now.0 % NANOS_PER_SECOND);
        // No overflow: seconds × hertz is at most the nanoseconds, and a second's ticks fit 30 bits.
        seconds * self.0 + rest * self.0 / NANOS_PER_SECOND
    }

    /// The first nanosecond at which [`ticks`](Self::ticks) is `ticks`; `Instant::NEVER` if that is
    /// beyond all time.
    #[must_use]
    pub const fn instant(self, ticks: u64) -> Instant {
        let (seconds, rest) = (ticks / self.0, ticks % self.0);
        let nanos = (rest * NANOS_PER_SECOND).div_ceil(self.0);
        Instant(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gigahertz_counts_nanoseconds() {
        assert_eq!(Frequency::from_hertz(1_000_000_000).ticks(Instant(u64::MAX)), u64::MAX);
        assert_eq!(Frequency::from_hertz(u32::MAX).instant(17), Instant(17));
        assert_eq!(Frequency::from_hertz(0).ticks(Instant(2_000_000_000)), 2);
    }

    proptest! {
        #[test]
        fn a_tick_begins_at_its_instant(hertz in 1..=1_000_000_000u32, at in 1..u64::MAX / 2) {
            let frequency = Frequency::from_hertz(hertz);
            let ticks = frequency.ticks(Instant(at)) + 1;
            let begin = frequency.instant(ticks);
            prop_assert_eq!(frequency.ticks(begin), ticks);
            prop_assert_eq!(frequency.ticks(Instant(begin.0 - 1)), ticks - 1);
        }
    }
}
