//! When the time of day is that of the alarm.

use super::date::Date;
use super::format::Format;

/// The two highest bits of an alarm byte: any value of its field will do (MC146818, "Time, Calendar
/// and Alarm Locations").
const ANY: u8 = 0xc0;
/// Enough to find the hour, the minute and the second, each by a step per value.
const STEPS: u32 = 24 + 60 + 60 + 3;

/// The bytes of the alarm, as they were written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Alarm {
    pub(super) second: u8,
    pub(super) minute: u8,
    pub(super) hour: u8,
}

const fn matches(alarm: u8, coded: u8) -> bool {
    alarm & ANY == ANY || alarm == coded
}

impl Alarm {
    /// The first second after `seconds`, since 1970, that the alarm is for; `None` if there is no
    /// such time of day.
    pub(super) fn next(self, format: Format, seconds: i64) -> Option<i64> {
        let mut at = seconds + 1;
        for _ in 0..STEPS {
            let date = Date::from_seconds(at);
            at = if !matches(self.hour, format.encode_hour(date.hour)) {
                at - at.rem_euclid(3600) + 3600
            } else if !matches(self.minute, format.encode(date.minute)) {
                at - at.rem_euclid(60) + 60
            } else if !matches(self.second, format.encode(date.second)) {
                at + 1
            } else {
                return Some(at);
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_of_day_that_is_none_never_comes() {
        let alarm = Alarm { second: 0x60, minute: 0xff, hour: 0xff };
        assert_eq!(alarm.next(Format::of(2), 0), None);
    }

    #[test]
    fn an_alarm_for_any_time_comes_each_second() {
        let alarm = Alarm { second: 0xc0, minute: 0xff, hour: 0xff };
        assert_eq!(alarm.next(Format::of(2), 41), Some(42));
    }

    proptest! {
        #[test]
        fn an_alarm_comes_within_a_day_at_its_time(
            now in 0..4_000_000_000_i64, hour in 0..24_u8, minute in 0..60_u8, second in 0..60_u8,
            register_b in 0..8_u8,
        ) {
            let format = Format::of(register_b);
            let alarm = Alarm {
                second: format.encode(second),
                minute: format.encode(minute),
                hour: format.encode_hour(hour),
            };
            let at = alarm.next(format, now).unwrap();
            let date = Date::from_seconds(at);
            prop_assert_eq!((date.hour, date.minute, date.second), (hour, minute, second));
            prop_assert!(at > now && at <= now + 86_400);
        }
    }
}
