//! How much of its CPU the host's network has, while guests want it too.

use core::time::Duration;
use hv_core::time::Instant;

/// Frames between two looks at the clock.
pub(crate) const CHUNK: usize = 8;
/// The network's part, before guests have theirs.
const SLICE: Duration = Duration::from_micros(500);
/// After this time what was used before is forgotten.
const WINDOW: Duration = Duration::from_millis(2);

/// Time that was used.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    window: Instant,
    used: Duration,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// There is time left.
    GoOn,
    /// It is the guests' turn.
    Enough,
}

impl Pace {
    /// Something was done from `start` to `end`. After [`Verdict::Enough`] it begins anew.
    pub(crate) fn note(&mut self, start: Instant, end: Instant) -> Verdict {
        if start.since(self.window) >= WINDOW {
            *self = Self { window: start, used: Duration::ZERO };
        }
        self.used += end.since(start);
        if self.used < SLICE {
            return Verdict::GoOn;
        }
        *self = Self { window: end, used: Duration::ZERO };
        Verdict::Enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: u64 = 1000;

    #[test]
    fn many_short_slices_are_one_long_one() {
        let mut pace = Pace::default();
        let start = |index: u64| Instant(5_000_000 + index * 60 * MICROSECOND);
        let verdicts = (0..10).map(|index| {
            let start = start(index);
            pace.note(start, Instant(start.0 + 50 * MICROSECOND))
        });
        let verdicts: alloc::vec::Vec<_> = verdicts.collect();
        assert!(verdicts.iter().take(9).all(|verdict| *verdict == Verdict::GoOn));
        assert_eq!(verdicts.last(), Some(&Verdict::Enough));
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let mut pace = Pace::default();
        for index in 1..100 {
            let start = Instant(index * 3_000_000);
            let end = Instant(start.0 + 100 * MICROSECOND);
            assert_eq!(pace.note(start, end), Verdict::GoOn);
        }
    }
}
