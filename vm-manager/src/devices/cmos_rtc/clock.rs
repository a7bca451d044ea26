//! The date as it runs, and as it stands still while it is set.

use super::alarm::Alarm;
use super::date::Date;
use super::divider::Divider;
use super::format::Format;
use core::time::Duration;
use hv_core::time::Instant;

#[derive(Clone, Copy, Debug)]
enum State {
    /// The date is so many seconds after 1970, and as many more as the divider has counted.
    Running { base: i64 },
    /// Updates are inhibited.
    Held(Date),
}

/// The clock.
#[derive(Debug)]
pub(super) struct Clock {
    state: State,
    divider: Divider,
    /// How many days the day of the week is ahead of that of the date, because the guest set it so.
    weekday_shift: u8,
}

impl Clock {
    /// A clock that shows `epoch` since 1970 at `Instant(0)`.
    pub(super) fn new(epoch: Duration) -> Self {
        let divider = Divider::default();
        let base = i64::try_from(epoch.as_secs()).unwrap_or(0);
        let mut clock = Self { state: State::Running { base: 0 }, divider, weekday_shift: 0 };
        clock.state = State::Running { base: base - clock.count(Instant(0)) };
        clock
    }

    pub(super) fn divider(&self) -> Divider {
        self.divider
    }

    pub(super) fn is_running(&self) -> bool {
        match self.state {
            State::Running { .. } => true,
            State::Held(_) => false,
        }
    }

    fn count(&self, now: Instant) -> i64 {
        // A second's count is below 2^35.
        self.divider.second(now) as i64
    }

    pub(super) fn date(&self, now: Instant) -> Date {
        match self.state {
            State::Running { base } => {
                let date = Date::from_seconds(base + self.count(now));
                Date { weekday: (date.weekday - 1 + self.weekday_shift) % 7 + 1, ..date }
            }
            State::Held(date) => date,
        }
    }

    /// Sets the date; one that runs runs on from there.
    pub(super) fn set(&mut self, date: Date, now: Instant) {
        match self.state {
            State::Running { .. } => self.start(date, now),
            State::Held(_) => self.state = State::Held(date),
        }
    }

    fn start(&mut self, date: Date, now: Instant) {
        let seconds = date.to_seconds();
        let weekday = Date::from_seconds(seconds).weekday;
        self.weekday_shift = (date.weekday % 7 + 7 - weekday % 7) % 7;
        self.state = State::Running { base: seconds - self.count(now) };
    }

    /// Inhibits updates.
    pub(super) fn hold(&mut self, now: Instant) {
        self.state = State::Held(self.date(now));
    }

    /// Allows updates.
    pub(super) fn run(&mut self, now: Instant) {
        if let State::Held(date) = self.state {
            self.start(date, now);
        }
    }

    /// The divider chain begins anew. Updates have to be inhibited.
    pub(super) fn release_divider(&mut self, now: Instant) {
        self.divider = Divider::released(now);
    }

    /// When `alarm` comes next; `Instant::NEVER` if it does not.
    pub(super) fn next(&self, alarm: Alarm, format: Format, now: Instant) -> Instant {
        let State::Running { base } = self.state else { return Instant::NEVER };
        let count = alarm.next(format, base + self.count(now)).map(|at| at - base);
        match count.map(u64::try_from) {
            Some(Ok(count)) => self.divider.begin(count),
            Some(Err(_)) | None => Instant::NEVER,
        }
    }
}
