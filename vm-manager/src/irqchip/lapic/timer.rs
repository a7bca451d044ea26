//! The timer (SDM volume 3A, 11.5.4): a counter that is divided from a clock, or a deadline of the TSC.

use super::local_vectors::TimerMode;
use crate::devices::frequency::Frequency;
use hv_core::time::Instant;

/// What is counted down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Count {
    Stopped,
    /// `left` was left at clock tick `since`.
    Running {
        since: u64,
        left: u32,
    },
}

/// A deadline of the time stamp counter, which the owner has converted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TscDeadline {
    /// What the guest wrote: zero is none.
    pub tsc: u64,
    /// When its counter gets there; of no meaning if `tsc` is zero.
    pub at: Instant,
}

/// The timer of one local APIC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    clock: Frequency,
    mode: TimerMode,
    initial: u32,
    divide: u32,
    count: Count,
    deadline: TscDeadline,
}

impl Timer {
    pub(super) const fn new(clock: Frequency) -> Self {
        Self {
            clock,
            mode: TimerMode::OneShot,
            initial: 0,
            divide: 0,
            count: Count::Stopped,
            deadline: TscDeadline { tsc: 0, at: Instant(0) },
        }
    }

    /// A stopped timer of the same clock.
    pub(super) const fn after_reset(&self) -> Self {
        Self::new(self.clock)
    }

    pub(super) const fn initial(&self) -> u32 {
        self.initial
    }

    pub(super) const fn divide(&self) -> u32 {
        self.divide
    }

    /// The value that is read of `IA32_TSC_DEADLINE`, which is zero in the other modes.
    pub(super) const fn tsc_deadline(&self) -> u64 {
        self.deadline.tsc
    }

    /// Clock ticks of a count, as a power of two (figure 11-10).
    const fn shift(&self) -> u32 {
        let code = self.divide & 3 | (self.divide >> 1) & 4;
        (code + 1) & 7
    }

    /// Switching to or from the deadline stops the timer (11.5.4.1).
    pub(super) fn set_mode(&mut self, mode: TimerMode, now: Instant) {
        if mode == self.mode {
            return;
        }
        self.rebase(now);
        if mode == TimerMode::TscDeadline || self.mode == TimerMode::TscDeadline {
            self.initial = 0;
            self.count = Count::Stopped;
            self.deadline = TscDeadline::default();
        }
        self.mode = mode;
    }

    pub(super) fn set_initial(&mut self, initial: u32, now: Instant) {
        // With deadlines, the write is ignored.
        if self.mode == TimerMode::TscDeadline {
            return;
        }
        self.initial = initial;
        self.count = if initial == 0 {
            Count::Stopped
        } else {
            Count::Running { since: self.clock.ticks(now), left: initial }
        };
    }

    pub(super) fn set_divide(&mut self, value: u32, now: Instant) {
        self.rebase(now);
        self.divide = value & 0xb;
    }

    pub(super) fn set_deadline(&mut self, deadline: TscDeadline) {
        if self.mode == TimerMode::TscDeadline {
            self.deadline = deadline;
        }
    }

    /// Takes what is left now as what is counted from, so that the mode or the divisor can change.
    fn rebase(&mut self, now: Instant) {
        let left = self.current(now);
        self.count = if left == 0 {
            Count::Stopped
        } else {
            Count::Running { since: self.clock.ticks(now), left }
        };
    }

    /// The current count.
    pub(super) fn current(&self, now: Instant) -> u32 {
        let Count::Running { since, left } = self.count else { return 0 };
        let passed = self.clock.ticks(now).saturating_sub(since) >> self.shift();
        match u64::from(left).checked_sub(passed) {
            Some(rest) if rest > 0 => rest as u32,
            _ if self.mode == TimerMode::Periodic && self.initial != 0 => {
                let initial = u64::from(self.initial);
                (initial - (passed - u64::from(left)) % initial) as u32
            }
            Some(_) | None => 0,
        }
    }

    /// When it expires next; `Instant::NEVER` if it does not.
    #[inline]
    pub(super) fn next(&self) -> Instant {
        match (self.mode, self.count) {
            (TimerMode::TscDeadline, _) if self.deadline.tsc != 0 => self.deadline.at,
            (TimerMode::OneShot | TimerMode::Periodic, Count::Running { since, left }) => {
                self.clock.instant(since.saturating_add(u64::from(left) << self.shift()))
            }
            (TimerMode::TscDeadline, _) | (_, Count::Stopped) => Instant::NEVER,
        }
    }

    /// Whether it has expired since this was asked last, however often; it goes on in its period.
    #[inline(always)]
    pub(super) fn take_expiry(&mut self, now: Instant) -> bool {
        if self.next() > now {
            return false;
        }
        self.expire(now);
        true
    }

    #[inline(never)]
    fn expire(&mut self, now: Instant) {
        self.deadline = TscDeadline::default();
        if let Count::Running { since, left } = self.count {
            self.count = if self.mode == TimerMode::Periodic && self.initial != 0 {
                let first = u64::from(left) << self.shift();
                let period = u64::from(self.initial) << self.shift();
                let passed = self.clock.ticks(now).saturating_sub(since).saturating_sub(first);
                let whole = passed / period * period;
                Count::Running { since: since + first + whole, left: self.initial }
            } else {
                Count::Stopped
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timer(mode: TimerMode, divide: u32) -> Timer {
        let mut timer = Timer::new(Frequency::from_hertz(1_000_000_000));
        timer.set_mode(mode, Instant(0));
        timer.set_divide(divide, Instant(0));
        timer
    }

    #[test]
    fn the_divisors_are_the_manuals() {
        for (divide, by) in [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)]
        {
            let mut timer = timer(TimerMode::OneShot, divide);
            timer.set_initial(100, Instant(1000));
            assert_eq!(timer.next(), Instant(1000 + 100 * by));
            assert_eq!(timer.current(Instant(1000 + 40 * by)), 60);
        }
    }

    #[test]
    fn a_changed_divisor_goes_on_from_the_current_count() {
        let mut timer = timer(TimerMode::Periodic, 11);
        timer.set_initial(100, Instant(0));
        timer.set_divide(0, Instant(60));
        assert_eq!(timer.next(), Instant(60 + 80));
        assert!(timer.take_expiry(Instant(140)));
        assert_eq!(timer.next(), Instant(140 + 200));
    }

    #[test]
    fn deadlines_and_counts_exclude_each_other() {
        let mut timer = timer(TimerMode::OneShot, 11);
        let deadline = TscDeadline { tsc: 5, at: Instant(50) };
        timer.set_deadline(deadline);
        assert_eq!((timer.next(), timer.tsc_deadline()), (Instant::NEVER, 0));
        timer.set_initial(100, Instant(0));
        timer.set_mode(TimerMode::TscDeadline, Instant(1));
        assert_eq!(timer.next(), Instant::NEVER);
        timer.set_initial(100, Instant(2));
        assert_eq!((timer.initial(), timer.current(Instant(3))), (0, 0));
        timer.set_deadline(deadline);
        assert_eq!((timer.next(), timer.tsc_deadline()), (Instant(50), 5));
        assert!(timer.take_expiry(Instant(50)));
        assert_eq!((timer.next(), timer.tsc_deadline()), (Instant::NEVER, 0));
    }

    proptest! {
        #[test]
        fn a_period_is_kept_however_late_it_is_looked_at(
            initial in 1..5000_u32, divide in 0..8_u32, looks in proptest::collection::vec(0..50_000_u64, 1..20),
        ) {
            let mut timer = timer(TimerMode::Periodic, divide & 3 | (divide & 4) << 1);
            timer.set_initial(initial, Instant(0));
            let period = u64::from(initial) << timer.shift();
            let mut now = 0;
            for later in looks {
                let count = timer.current(Instant(now + later));
                let is_due = (now + later) / period > now / period;
                now += later;
                prop_assert_eq!(timer.take_expiry(Instant(now)), is_due);
                prop_assert_eq!(timer.next(), Instant((now / period + 1) * period));
                prop_assert_eq!(timer.current(Instant(now)), count);
                prop_assert!(count >= 1 && count <= initial);
            }
        }
    }
}
