//! The time of day from the CMOS clock (Motorola MC146818A).

use super::insn;

fn register(index: u8) -> u8 {
    const NMI_OFF: u8 = 0x80;
    insn::out8(0x70, index | NMI_OFF);
    insn::in8(0x71)
}

/// Its registers, as they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Reading {
    second: u8,
    minute: u8,
    hour: u8,
    day: u8,
    month: u8,
    year: u8,
    century: u8,
    control: u8,
}

fn read() -> Reading {
    Reading {
        second: register(0),
        minute: register(2),
        hour: register(4),
        day: register(7),
        month: register(8),
        year: register(9),
        century: register(0x32),
        control: register(0x0b),
    }
}

/// Seconds since 1970, if the clock tells a date.
pub(super) fn seconds() -> Option<u64> {
    const UPDATING: u8 = 1 << 7;
    const PATIENCE: u32 = 100_000;
    // Twice the same: no update came between.
    let mut last = Reading::default();
    for _ in 0..PATIENCE {
        if register(0x0a) & UPDATING != 0 {
            continue;
        }
        let reading = read();
        if reading == last {
            return reading.seconds();
        }
        last = reading;
    }
    None
}

impl Reading {
    fn seconds(self) -> Option<u64> {
        const BINARY: u8 = 1 << 2;
        const HOURS_24: u8 = 1 << 1;
        const AFTERNOON: u8 = 1 << 7;
        let number = |value: u8| {
            u64::from(if self.control & BINARY != 0 {
                value
            } else {
                (value >> 4) * 10 + (value & 0xf)
            })
        };
        let hour = match (self.control & HOURS_24 != 0, self.hour & AFTERNOON != 0) {
            (true, _) => number(self.hour),
            (false, afternoon) => {
                number(self.hour & !AFTERNOON) % 12 + if afternoon { 12 } else { 0 }
            }
        };
        let century = match number(self.century) {
            century @ 19..=21 => century,
            _ => 20,
        };
        let (year, month, day) =
            (century * 100 + number(self.year), number(self.month), number(self.day));
        let is_valid = (1970..2200).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && number(self.minute) < 60
            && number(self.second) < 60;
        if !is_valid {
            return None;
        }
        Some(
            ((days(year, month, day) * 24 + hour) * 60 + number(self.minute)) * 60
                + number(self.second),
        )
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years begin in March, so that the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    const TO_1970: u64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        assert_eq!(days(2024, 2, 29), 19_782);
    }

    #[test]
    fn both_ways_of_telling_time_are_understood() {
        let reading = Reading {
            second: 0x59,
            minute: 0x30,
            hour: 0x23,
            day: 0x01,
            month: 0x01,
            year: 0x24,
            century: 0x20,
            control: 2,
        };
        assert_eq!(reading.seconds(), Some(1_704_151_859));
        let twelve = Reading { hour: 0x81, control: 0, ..reading };
        assert_eq!(twelve.seconds(), Some(1_704_151_859 - 10 * 3600));
        let binary = Reading {
            second: 59,
            minute: 30,
            hour: 23,
            year: 24,
            century: 20,
            control: 6,
            ..reading
        };
        assert_eq!(binary.seconds(), reading.seconds());
        assert_eq!(Reading { month: 0x13, ..reading }.seconds(), None);
    }
}
