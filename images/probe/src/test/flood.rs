//! Floods the console for `seconds` (5), or `lines` when given.

use guest::board::Board;
use guest::{println, time};

use crate::report::Outcome;

pub(super) fn run(board: &'static Board) -> Outcome {
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 5));
    let limit = board.number("lines", u64::MAX);
    let mut line = 0;
    while line < limit && (limit != u64::MAX || time::now() < end) {
        println!("probe: flood {line:08} the quick brown fox jumps over the lazy dog");
        line += 1;
    }
    println!("probe: info flood lines={line}");
    Ok(())
}
