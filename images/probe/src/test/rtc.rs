//! The real-time clock: says the date, and that a second is one.

use guest::board::Board;
use guest::{println, time};

use crate::report::{Failure, Outcome, check};

const DR: usize = 0;

pub(super) fn run(board: &'static Board) -> Outcome {
    let rtc = board.rtc.ok_or(Failure { what: "no clock", value: 0 })?;
    let start = rtc.read32(DR);
    println!("probe: info rtc {start}");
    time::spin_ms(2100);
    let seconds = rtc.read32(DR) - start;
    check((2..=3).contains(&seconds), "seconds in 2.1 s", u64::from(seconds))
}
