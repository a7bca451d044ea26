//! Output.

use guest::board::Board;
use guest::{console, print};

use crate::batch;

/// A character, with the poll for room that goes before it.
pub(super) fn characters(board: &'static Board, name: &str) {
    let ticks = batch::ticks(|| console::put(board.console, b'.'));
    print!("\n");
    batch::print(name, &ticks, batch::REPETITIONS);
}
