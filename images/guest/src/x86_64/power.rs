//! Off by ACPI, and on again by the reset control register.

use super::{cpu, port, trap};
use crate::board::Board;

/// `SLP_EN`, with the sleep type of the state S5: that of Roost, then that of QEMU and Bochs.
const OFF: [u16; 2] = [1 << 13 | 5 << 10, 1 << 13];
const RESET_CONTROL: u16 = 0xcf9;

/// Powers the machine off.
pub fn off(board: &Board) -> ! {
    if board.devices.power_control != 0 {
        for value in OFF {
            port::write16(board.devices.power_control, value);
        }
    }
    cpu::halt()
}

/// Resets the machine.
pub fn reset(_: &Board) -> ! {
    for value in [2, 6] {
        port::write8(RESET_CONTROL, value);
    }
    trap::triple_fault()
}
