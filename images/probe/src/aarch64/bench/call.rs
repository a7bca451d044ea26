//! Hypervisor calls.

use guest::arch::psci::{self, function};
use guest::board::Board;

use crate::batch::measure;

/// The cheapest call there is.
pub(super) fn version(board: &'static Board, name: &str) {
    measure(name, || {
        psci::call(board.devices.conduit, function::VERSION, 0, 0, 0);
    });
}

/// A call that nobody implements.
pub(super) fn unknown(board: &'static Board, name: &str) {
    measure(name, || {
        psci::call(board.devices.conduit, function::UNKNOWN, 0, 0, 0);
    });
}
