//! A token bucket: how much of something may happen, on average and at once.

use crate::time::Instant;

const NANOS: u128 = 1_000_000_000;

/// What a bucket allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// Tokens that are added in a second.
    pub per_second: u64,
    /// Tokens that the bucket holds: the most that can be taken at once.
    pub burst: u64,
}

/// Tokens that fill up with time and are taken by what happens.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    rate: Rate,
    tokens: u64,
    /// When the last whole token was added.
    filled: Instant,
}

impl TokenBucket {
    /// A bucket that is full at `now`.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: rate.burst, filled: now }
    }

    /// Takes `count` tokens if there are as many at `now`. A clock that goes back adds none.
    pub fn take(&mut self, count: u64, now: Instant) -> Taken {
        self.fill(now);
        match self.tokens.checked_sub(count) {
            Some(rest) => {
                self.tokens = rest;
                Taken::Yes
            }
            None => Taken::No,
        }
    }

    /// What it allows.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    fn fill(&mut self, now: Instant) {
        let Some(elapsed) = now.0.checked_sub(self.filled.0) else { return };
        let added = u128::from(elapsed) * u128::from(self.rate.per_second) / NANOS;
        let room = self.rate.burst - self.tokens;
        if added >= u128::from(room) {
            self.tokens = self.rate.burst;
            self.filled = now;
        } else if added != 0 {
            // Less than `room`, and of the time only what these tokens took: the rest counts for the next.
            let nanos = (added * NANOS).div_ceil(u128::from(self.rate.per_second));
            self.tokens += added as u64;
            self.filled = Instant(self.filled.0.saturating_add(nanos as u64));
        }
    }
}

/// Whether there were as many tokens as were asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Taken {
    /// They are taken.
    Yes,
    /// None is taken.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        let mut bucket = TokenBucket::new(Rate { per_second: 10, burst: 3 }, Instant(0));
        assert_eq!(bucket.take(3, Instant(0)), Taken::Yes);
        assert_eq!(bucket.take(1, Instant(99_999_999)), Taken::No);
        assert_eq!(bucket.take(1, Instant(100_000_000)), Taken::Yes);
        assert_eq!(bucket.take(4, Instant::NEVER), Taken::No);
        assert_eq!(bucket.take(3, Instant::NEVER), Taken::Yes);
    }

    #[test]
    fn time_is_spent_once_though_a_token_takes_less_than_a_nanosecond() {
        let mut bucket = TokenBucket::new(Rate { per_second: 1_500_000_000, burst: 9 }, Instant(0));
        assert_eq!(bucket.take(9, Instant(0)), Taken::Yes);
        assert_eq!(bucket.take(1, Instant(1)), Taken::Yes);
        assert_eq!(bucket.take(1, Instant(1)), Taken::No);
    }

    #[test]
    fn a_rate_of_nothing_never_refills() {
        let mut bucket = TokenBucket::new(Rate { per_second: 0, burst: 1 }, Instant(0));
        assert_eq!(bucket.take(1, Instant(0)), Taken::Yes);
        assert_eq!(bucket.take(1, Instant::NEVER), Taken::No);
    }

    proptest! {
        #[test]
        fn no_more_is_taken_than_burst_and_rate_allow(
            per_second in 0..1_000_000_000_000u64,
            burst in 0..1_000_000u64,
            steps in prop::collection::vec((0..2_000_000u64, 0..1000u64), 0..200),
        ) {
            let mut bucket = TokenBucket::new(Rate { per_second, burst }, Instant(7));
            let (mut now, mut taken) = (Instant(7), 0u128);
            for (nanos, count) in steps {
                now = Instant(now.0 + nanos);
                if bucket.take(count, now) == Taken::Yes {
                    taken += u128::from(count);
                }
                let allowed = u128::from(now.0 - 7) * u128::from(per_second) / NANOS;
                prop_assert!(taken <= u128::from(burst) + allowed);
            }
        }
    }
}
