//! A line each 100 ms of its own time, for `lines` (100): who pauses the machine can see whether time jumped.

use guest::board::Board;
use guest::{cpu, interrupt, println, time, trap};

use crate::report::Outcome;

const PERIOD_MS: u64 = 100;

pub(super) fn run(board: &'static Board) -> Outcome {
    trap::on_interrupt(|_| time::stop());
    interrupt::enable(time::interrupt(board));
    let period = time::ticks_of_ms(PERIOD_MS);
    let start = time::now();
    let (mut previous, mut longest) = (start, 0);
    for line in 1..=board.number("lines", 100) {
        let deadline = start + line * period;
        while time::now() < deadline {
            // Again if it fired early: a PC's timer runs by another clock than the time is told by.
            time::start(deadline);
            cpu::sleep();
        }
        time::stop();
        let now = time::now();
        longest = longest.max(now - previous);
        println!(
            "probe: tick {line} ms={} longest={}",
            time::ms_of_ticks(now - start),
            time::ms_of_ticks(longest)
        );
        previous = now;
    }
    Ok(())
}
