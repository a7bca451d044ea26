//! The console: a PL011 (ARM DDI 0183).

use super::mmio::Registers;
use super::{cpu, gic};
use crate::board::Board;

/// Its registers.
pub type Port = Registers;

/// Offset of the data register.
pub const DR: usize = 0x00;
/// Offset of the flag register.
pub const FR: usize = 0x18;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
const LCR_H: usize = 0x2c;
const CR: usize = 0x30;
const IMSC: usize = 0x38;
/// 8 bits, with FIFOs.
const LCR_H_8N1_FIFO: u32 = 0x70;
/// UART, transmitter and receiver on.
const CR_ON: u32 = 0x301;
/// Receive, and receive timeout.
const RECEIVE: u32 = 1 << 4 | 1 << 6;

/// Writes one byte, when there is room.
#[inline(always)]
pub fn put(uart: Port, byte: u8) {
    while uart.read32(FR) & FR_TXFF != 0 {
        cpu::yield_now();
    }
    uart.write32(DR, u32::from(byte));
}

/// The next byte that was typed, if any.
pub(crate) fn get(uart: Port) -> Option<u8> {
    (uart.read32(FR) & FR_RXFE == 0).then(|| uart.read32(DR) as u8)
}

/// The id of its interrupt, if it has one.
pub fn interrupt(board: &Board) -> Option<u32> {
    board.devices.uart_interrupt
}

/// Interrupts from now on when something was typed, until all of it was read.
pub fn listen(board: &Board) {
    let uart = board.console;
    uart.write32(LCR_H, LCR_H_8N1_FIFO);
    uart.write32(CR, CR_ON);
    uart.write32(IMSC, RECEIVE);
    if let Some(id) = interrupt(board) {
        gic::enable(id);
    }
}

/// No longer interrupts.
pub fn deafen(board: &Board) {
    board.console.write32(IMSC, 0);
    if let Some(id) = interrupt(board) {
        gic::disable(id);
    }
}
