//! The real-time clock: an MC146818 (Motorola), as a PC's firmware sets it up.

use super::port;
use crate::board::Board;

const SECONDS: u8 = 0x00;
const MINUTES: u8 = 0x02;
const HOURS: u8 = 0x04;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const STATUS_A: u8 = 0x0a;
const STATUS_A_UPDATING: u8 = 1 << 7;
const STATUS_B: u8 = 0x0b;
const STATUS_B_BINARY: u8 = 1 << 2;

/// Seconds since 1970, if there is a clock.
pub fn seconds(_: &Board) -> Option<u64> {
    if register(STATUS_B) == 0xff {
        return None;
    }
    loop {
        let (first, second) = (date(), date());
        if first == second {
            return Some(first);
        }
    }
}

fn date() -> u64 {
    while register(STATUS_A) & STATUS_A_UPDATING != 0 {
        super::cpu::yield_now();
    }
    let is_binary = register(STATUS_B) & STATUS_B_BINARY != 0;
    let number = |index| {
        let value = register(index);
        u64::from(if is_binary { value } else { (value >> 4) * 10 + (value & 0xf) })
    };
    let (year, month) = (2000 + number(YEAR), number(MONTH));
    // Years that begin in March, so that a leap day is at their end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + number(DAY);
    /// Days from the 1st of March of the year 0 to the 1st of January 1970, and one, since days begin with 1.
    const BEFORE_1970: u64 = 719_469;
    ((days.saturating_sub(BEFORE_1970) * 24 + number(HOURS)) * 60 + number(MINUTES)) * 60
        + number(SECONDS)
}

fn register(index: u8) -> u8 {
    port::write8(0x70, index);
    port::read8(0x71)
}
