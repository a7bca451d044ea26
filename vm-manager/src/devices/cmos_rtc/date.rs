//! Seconds since 1970 as date and time of day, and back, in the Gregorian calendar.

const SECONDS_PER_DAY: i64 = 86_400;
/// From 1 March of the year 0, where an era of 400 years begins, to 1970.
const EPOCH_DAY: i64 = 719_468;
const DAYS_PER_ERA: i64 = 146_097;

/// What the clock shows. Fields that a guest wrote may be out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Date {
    pub(super) second: u8,
    pub(super) minute: u8,
    pub(super) hour: u8,
    /// 1 is Sunday.
    pub(super) weekday: u8,
    pub(super) day: u8,
    pub(super) month: u8,
    /// In its century.
    pub(super) year: u8,
    pub(super) century: u8,
}

impl Date {
    /// The date `seconds` after 1970 began; its century counts modulo 100.
    pub(super) fn from_seconds(seconds: i64) -> Self {
        let days = seconds.div_euclid(SECONDS_PER_DAY);
        let in_day = seconds.rem_euclid(SECONDS_PER_DAY);
        let from_march = days + EPOCH_DAY;
        let era = from_march.div_euclid(DAYS_PER_ERA);
        let day_of_era = from_march.rem_euclid(DAYS_PER_ERA);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - days_before_year(year_of_era);
        // Months from March on have 31 and 30 days in turn, in runs of five.
        let month = (5 * day_of_year + 2) / 153;
        let year = era * 400 + year_of_era + if month >= 10 { 1 } else { 0 };
        Self {
            second: (in_day % 60) as u8,
            minute: (in_day / 60 % 60) as u8,
            hour: (in_day / 3600) as u8,
            weekday: ((days + 4).rem_euclid(7) + 1) as u8,
            day: (day_of_year - (153 * month + 2) / 5 + 1) as u8,
            month: if month < 10 { month + 3 } else { month - 9 } as u8,
            year: year.rem_euclid(100) as u8,
            century: year.div_euclid(100).rem_euclid(100) as u8,
        }
    }

    /// Seconds from the begin of 1970 to this date. A field out of range counts on into the next;
    /// the day of the week counts for nothing.
    pub(super) fn to_seconds(self) -> i64 {
        let year = i64::from(self.century) * 100 + i64::from(self.year);
        let month = i64::from(self.month.clamp(1, 12));
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        let era = year.div_euclid(400);
        let days =
            era * DAYS_PER_ERA + days_before_year(year.rem_euclid(400)) + day_of_year - EPOCH_DAY;
        let in_day =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days * SECONDS_PER_DAY + in_day
    }
}

/// Days of an era before its year `year`, which begins in March.
const fn days_before_year(year: i64) -> i64 {
    year * 365 + year / 4 - year / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_days_are_known() {
        let leap = Date::from_seconds(951_827_696);
        let expected = Date {
            second: 56,
            minute: 34,
            hour: 12,
            weekday: 3,
            day: 29,
            month: 2,
            year: 0,
            century: 20,
        };
        assert_eq!(leap, expected);
        let epoch = Date::from_seconds(0);
        assert_eq!((epoch.weekday, epoch.day, epoch.month, epoch.year), (5, 1, 1, 70));
    }

    proptest! {
        #[test]
        fn dates_and_seconds_are_the_same(seconds in -62_000_000_000..250_000_000_000_i64) {
            prop_assert_eq!(Date::from_seconds(seconds).to_seconds(), seconds);
        }

        #[test]
        fn a_day_later_is_the_next_weekday(day in -700_000..2_900_000_i64) {
            let [today, tomorrow] =
                [day, day + 1].map(|day| Date::from_seconds(day * SECONDS_PER_DAY).weekday);
            prop_assert_eq!(today % 7 + 1, tomorrow);
        }
    }
}
