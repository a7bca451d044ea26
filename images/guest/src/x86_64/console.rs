//! The console: a 16550 (National Semiconductor PC16550D).

use super::{cpu, interrupt, port};
use crate::board::Board;

/// Its first port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Port(pub u16);

/// Interrupt enable register.
const IER: u16 = 1;
/// FIFO control register.
const FCR: u16 = 2;
const LCR: u16 = 3;
const MCR: u16 = 4;
/// Offset of the line status register.
pub const LSR: u16 = 5;
const LSR_DATA: u8 = 1;
const LSR_ROOM: u8 = 1 << 5;
const IER_RECEIVE: u8 = 1;
const FCR_ON: u8 = 1;
const LCR_8N1: u8 = 3;
/// DTR, RTS, and OUT2, which lets interrupts out on a PC.
const MCR_ON: u8 = 0xb;
/// Its interrupt on a PC.
const ISA_INTERRUPT: u32 = 4;

/// Writes one byte, when there is room.
#[inline(always)]
pub fn put(uart: Port, byte: u8) {
    while port::read8(uart.0 + LSR) & LSR_ROOM == 0 {
        cpu::yield_now();
    }
    port::write8(uart.0, byte);
}

/// The next byte that was typed, if any.
pub(crate) fn get(uart: Port) -> Option<u8> {
    (port::read8(uart.0 + LSR) & LSR_DATA != 0).then(|| port::read8(uart.0))
}

/// The id of its interrupt, if it has one.
pub fn interrupt(_: &Board) -> Option<u32> {
    Some(interrupt::isa(ISA_INTERRUPT))
}

/// Interrupts from now on when something was typed, until all of it was read.
pub fn listen(board: &Board) {
    let Port(base) = board.console;
    port::write8(base + LCR, LCR_8N1);
    port::write8(base + FCR, FCR_ON);
    port::write8(base + MCR, MCR_ON);
    interrupt::enable(interrupt::isa(ISA_INTERRUPT));
    port::write8(base + IER, IER_RECEIVE);
}

/// No longer interrupts.
pub fn deafen(board: &Board) {
    port::write8(board.console.0 + IER, 0);
    interrupt::disable(interrupt::isa(ISA_INTERRUPT));
}
