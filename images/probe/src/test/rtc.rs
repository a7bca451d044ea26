//! The real-time clock: says the date, and that a second is one.

use guest::board::Board;
use guest::{println, rtc, time};

use crate::report::{Failure, Outcome, check};

pub(super) fn run(board: &'static Board) -> Outcome {
    let seconds = || rtc::seconds(board).ok_or(Failure { what: "no clock", value: 0 });
    let start = seconds()?;
    println!("probe: info rtc {start}");
    time::spin_ms(2100);
    let seconds = seconds()? - start;
    check((2..=3).contains(&seconds), "seconds in 2.1 s", seconds)
}
