//! Off and on again, by PSCI.

use super::cpu;
use super::psci::{call, function};
use crate::board::Board;

/// Powers the machine off.
pub fn off(board: &Board) -> ! {
    call(board.devices.conduit, function::SYSTEM_OFF, 0, 0, 0);
    cpu::halt()
}

/// Resets the machine.
pub fn reset(board: &Board) -> ! {
    call(board.devices.conduit, function::SYSTEM_RESET, 0, 0, 0);
    cpu::halt()
}
