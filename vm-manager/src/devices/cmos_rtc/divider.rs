//! The chip's divider chain: when its seconds and its periodic ticks begin.

use hv_core::time::Instant;

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// The time from the end of the divider's reset to the first update (MC146818, table 5).
const AFTER_RESET_NS: u64 = SECOND_NS / 2;

/// Where in a second of the owner's time the clock's second begins.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Divider {
    /// 1 to a second's nanoseconds less one, or zero: seconds begin that long after those of `Instant(0)`.
    phase_ns: u64,
}

impl Divider {
    /// A chain whose reset ends at `now`.
    pub(super) const fn released(now: Instant) -> Self {
        Self { phase_ns: (now.0 % SECOND_NS + AFTER_RESET_NS) % SECOND_NS }
    }

    const fn shifted(self, now: Instant) -> u64 {
        now.0.saturating_add(SECOND_NS - self.phase_ns)
    }

    /// The number of the second that runs.
    pub(super) const fn second(self, now: Instant) -> u64 {
        self.shifted(now) / SECOND_NS
    }

    /// When second `number` begins.
    pub(super) const fn begin(self, number: u64) -> Instant {
        let shifted = number.saturating_mul(SECOND_NS);
        if shifted == u64::MAX {
            return Instant::NEVER;
        }
        Instant(shifted.saturating_sub(SECOND_NS - self.phase_ns))
    }

    /// Nanoseconds until the second that runs ends; never zero.
    pub(super) const fn left_ns(self, now: Instant) -> u64 {
        SECOND_NS - self.shifted(now) % SECOND_NS
    }

    /// The number of the tick that runs, of a counter of `hertz`, at most 2^15.
    pub(super) const fn tick(self, hertz: u64, now: Instant) -> u64 {
        let within = self.shifted(now) % SECOND_NS * hertz / SECOND_NS;
        self.second(now).saturating_mul(hertz).saturating_add(within)
    }

    /// When tick `number` begins, of a counter of `hertz`.
    pub(super) const fn tick_begin(self, hertz: u64, number: u64) -> Instant {
        let begin = self.begin(number / hertz);
        Instant(begin.0.saturating_add((number % hertz * SECOND_NS).div_ceil(hertz)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_second_after_a_reset_takes_a_half(now in 0..u64::MAX / 2) {
            let divider = Divider::released(Instant(now));
            prop_assert_eq!(divider.left_ns(Instant(now)), AFTER_RESET_NS);
        }

        #[test]
        fn ticks_begin_where_they_begin(
            reset in 0..u64::MAX / 2, now in SECOND_NS..u64::MAX / 2, rate in 1..16_u64,
        ) {
            let divider = Divider::released(Instant(reset));
            let hertz = 1 << rate;
            let tick = divider.tick(hertz, Instant(now)) + 1;
            let begin = divider.tick_begin(hertz, tick);
            prop_assert_eq!(divider.tick(hertz, begin), tick);
            prop_assert_eq!(divider.tick(hertz, Instant(begin.0 - 1)), tick - 1);
            let second = divider.second(Instant(now)) + 1;
            prop_assert_eq!(divider.second(divider.begin(second)), second);
        }
    }
}
