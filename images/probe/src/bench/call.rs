//! Hypervisor calls.

use guest::board::Board;
use guest::cpu;
use guest::psci::{self, function};

use crate::batch::measure;

/// The measuring loop itself, for comparison.
pub(super) fn nothing(_: &'static Board, name: &str) {
    measure(name, cpu::yield_now);
}

/// The cheapest call there is.
pub(super) fn version(board: &'static Board, name: &str) {
    measure(name, || {
        psci::call(board.conduit, function::VERSION, 0, 0, 0);
    });
}

/// A call that nobody implements.
pub(super) fn unknown(board: &'static Board, name: &str) {
    measure(name, || {
        psci::call(board.conduit, function::UNKNOWN, 0, 0, 0);
    });
}
