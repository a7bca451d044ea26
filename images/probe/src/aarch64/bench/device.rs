//! Reads of emulated devices.

use guest::arch::{console, gic};
use guest::board::Board;

use crate::batch::measure;

/// The interrupt distributor's type register.
pub(super) fn distributor(_: &'static Board, name: &str) {
    if let Some(distributor) = gic::distributor() {
        measure(name, || {
            distributor.read32(gic::GICD_TYPER);
        });
    }
}

/// The UART's flags, which every driver polls.
pub(super) fn uart(board: &'static Board, name: &str) {
    measure(name, || {
        board.console.read32(console::FR);
    });
}
