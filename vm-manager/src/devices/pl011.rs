//! The PL011 UART (Arm DDI 0183, "PrimeCell UART (PL011) Technical Reference Manual"), r1p1.
//!
//! Sending takes no time: the transmit FIFO is always empty, and each character raises the transmit
//! interrupt anew, because the FIFO fell through its trigger level (2.8). Nothing is paced by the
//! baud rate. A received character is followed by silence, as far as the guest can tell, so the
//! receive timeout (2.8.3) has always run out when the receive FIFO holds something.
//!
//! Two things are more lenient than the cell, because guests that were built for QEMU rely on it: a
//! character is sent even if the UART is not enabled, and it is received as long as `RXE` is set,
//! which it is after reset. What arrives while a driver has cleared `RXE` waits with the sender.

use super::primecell;
use super::receive_fifo::{Mode, ReceiveFifo};
use super::serial::SerialOut;
use super::wire::Wire;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

pub use super::receive_fifo::Received;

/// The registers (table 3-1), found by their offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Data,
    ReceiveStatus,
    Flags,
    LowPower,
    IntegerBaud,
    FractionalBaud,
    LineControl,
    Control,
    FifoLevels,
    InterruptMask,
    RawInterrupts,
    MaskedInterrupts,
    InterruptClear,
    DmaControl,
}

impl Register {
    #[inline]
    const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            DATA_OFFSET => Self::Data,
            0x004 => Self::ReceiveStatus,
            FLAGS_OFFSET => Self::Flags,
            0x020 => Self::LowPower,
            0x024 => Self::IntegerBaud,
            0x028 => Self::FractionalBaud,
            0x02c => Self::LineControl,
            0x030 => Self::Control,
            0x034 => Self::FifoLevels,
            0x038 => Self::InterruptMask,
            0x03c => Self::RawInterrupts,
            0x040 => Self::MaskedInterrupts,
            0x044 => Self::InterruptClear,
            0x048 => Self::DmaControl,
            _ => return None,
        })
    }
}

const DATA_OFFSET: u64 = 0x000;
const FLAGS_OFFSET: u64 = 0x018;

/// Bits of `UARTFR` (3.3.3).
mod flag {
    /// Clear to send, data set ready and data carrier detect: the other end is always there.
    pub(super) const MODEM: u32 = 0x7;
    pub(super) const RECEIVE_EMPTY: u32 = 1 << 4;
    pub(super) const RECEIVE_FULL: u32 = 1 << 6;
    pub(super) const TRANSMIT_EMPTY: u32 = 1 << 7;
}

/// Bits of the interrupt registers (3.3.10).
mod interrupt {
    pub(super) const RECEIVE: u32 = 1 << 4;
    pub(super) const TRANSMIT: u32 = 1 << 5;
    pub(super) const RECEIVE_TIMEOUT: u32 = 1 << 6;
    pub(super) const OVERRUN: u32 = 1 << 10;
    pub(super) const ALL: u32 = 0x7ff;
}

/// `UARTCR.LBE`: what is sent is received.
const LOOPBACK: u32 = 1 << 7;
/// `UARTCR.RXE`.
const RECEIVE_ENABLE: u32 = 1 << 9;
/// `UARTCR` after reset: both directions enabled, the UART itself not (3.3.8).
const CONTROL_RESET: u32 = 0x300;
/// `UARTLCR_H.FEN`.
const FIFO_ENABLE: u32 = 1 << 4;
/// `UARTIFLS` after reset: both at half.
const LEVELS_RESET: u32 = 0x12;
/// `UARTDR.OE`, set with what is read after characters were lost.
const DATA_OVERRUN: u32 = 1 << 11;
/// `UARTRSR.OE`.
const STATUS_OVERRUN: u32 = 1 << 3;
/// `UARTPeriphID0` to 3: a PL011 by Arm, revision r1p1, whose FIFOs have 16 entries.
const PERIPHERAL_ID: [u8; 4] = [0x11, 0x10, 0x14, 0x00];

/// One UART.
pub struct Pl011<O> {
    out: O,
    wire: Wire,
    fifo: ReceiveFifo,
    raw_interrupts: u32,
    interrupt_mask: u32,
    control: u32,
    line_control: u32,
    fifo_levels: u32,
    status: u32,
    low_power: u32,
    integer_baud: u32,
    fractional_baud: u32,
    dma_control: u32,
}

impl<O: SerialOut> Pl011<O> {
    /// A UART after reset, which sends to `out` and interrupts by `line`.
    pub fn new(out: O, line: Arc<dyn IrqLine>) -> Self {
        Self {
            out,
            wire: Wire::new(line),
            fifo: ReceiveFifo::default(),
            raw_interrupts: 0,
            interrupt_mask: 0,
            control: CONTROL_RESET,
            line_control: 0,
            fifo_levels: LEVELS_RESET,
            status: 0,
            low_power: 0,
            integer_baud: 0,
            fractional_baud: 0,
            dma_control: 0,
        }
    }

    /// Whether the next character would be received: the receiver is on and its FIFO not full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.control & RECEIVE_ENABLE != 0 && self.fifo.has_room()
    }

    /// Receives one character from the outside. One that finds no room is lost, and the guest
    /// is told of the overrun: ask [`has_room`](Self::has_room) first to lose none.
    pub fn receive(&mut self, byte: u8) -> Received {
        if self.control & RECEIVE_ENABLE == 0 {
            return Received::Lost;
        }
        self.arrive(byte)
    }

    fn arrive(&mut self, byte: u8) -> Received {
        let received = self.fifo.push(byte);
        match received {
            Received::Stored => {
                if self.fifo.len() >= self.receive_trigger() {
                    self.raw_interrupts |= interrupt::RECEIVE;
                }
                self.raw_interrupts |= interrupt::RECEIVE_TIMEOUT;
            }
            Received::Lost => {
                self.status |= STATUS_OVERRUN;
                self.raw_interrupts |= interrupt::OVERRUN;
            }
        }
        self.update_wire();
        received
    }

    #[inline]
    fn send(&mut self, byte: u8) {
        if self.control & LOOPBACK == 0 {
            self.out.put(byte);
        } else {
            self.arrive(byte);
        }
        self.raw_interrupts |= interrupt::TRANSMIT;
        self.update_wire();
    }

    /// How many characters raise the receive interrupt (3.3.9). Without FIFOs one does.
    fn receive_trigger(&self) -> usize {
        match self.fifo.mode() {
            Mode::Character => 1,
            Mode::Fifo => match (self.fifo_levels >> 3) & 7 {
                0 => 2,
                1 => 4,
                2 => 8,
                3 => 12,
                _ => 14,
            },
        }
    }

    /// `UARTDR`: takes the oldest character. What stays in the FIFO has waited for long enough to
    /// raise the timeout, also if the guest has cleared it before it read.
    fn take(&mut self) -> u32 {
        let overrun = if self.fifo.has_overrun() { DATA_OVERRUN } else { 0 };
        let byte = self.fifo.pop().map_or(0, u32::from);
        if self.fifo.len() < self.receive_trigger() {
            self.raw_interrupts &= !interrupt::RECEIVE;
        }
        if self.fifo.is_empty() {
            self.raw_interrupts &= !interrupt::RECEIVE_TIMEOUT;
        } else {
            self.raw_interrupts |= interrupt::RECEIVE_TIMEOUT;
        }
        self.update_wire();
        byte | overrun
    }

    #[inline]
    fn flags(&self) -> u32 {
        let mut flags = flag::TRANSMIT_EMPTY | flag::MODEM;
        if self.fifo.is_empty() {
            flags |= flag::RECEIVE_EMPTY;
        } else if !self.fifo.has_room() {
            flags |= flag::RECEIVE_FULL;
        }
        flags
    }

    /// Switching the FIFOs on or off empties them.
    fn set_line_control(&mut self, value: u32) {
        if (value ^ self.line_control) & FIFO_ENABLE != 0 {
            let mode = if value & FIFO_ENABLE == 0 { Mode::Character } else { Mode::Fifo };
            self.fifo = ReceiveFifo::new(mode);
            self.raw_interrupts &= !(interrupt::RECEIVE | interrupt::RECEIVE_TIMEOUT);
            self.update_wire();
        }
        self.line_control = value & 0xff;
    }

    #[inline]
    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.raw_interrupts & self.interrupt_mask != 0));
    }

    #[inline]
    fn read_register(&mut self, offset: u64) -> u32 {
        let Some(register) = Register::at(offset) else {
            return primecell::identification(offset, PERIPHERAL_ID).unwrap_or(0);
        };
        match register {
            Register::Data => self.take(),
            Register::Flags => self.flags(),
            Register::ReceiveStatus => self.status,
            Register::LowPower => self.low_power,
            Register::IntegerBaud => self.integer_baud,
            Register::FractionalBaud => self.fractional_baud,
            Register::LineControl => self.line_control,
            Register::Control => self.control,
            Register::FifoLevels => self.fifo_levels,
            Register::InterruptMask => self.interrupt_mask,
            Register::RawInterrupts => self.raw_interrupts,
            Register::MaskedInterrupts => self.raw_interrupts & self.interrupt_mask,
            Register::InterruptClear => 0,
            Register::DmaControl => self.dma_control,
        }
    }

    #[inline]
    fn write_register(&mut self, offset: u64, value: u32) {
        let Some(register) = Register::at(offset) else { return };
        match register {
            Register::Data => self.send(value as u8),
            // Any value clears the errors: `UARTECR`, at the same address.
            Register::ReceiveStatus => self.status = 0,
            Register::LowPower => self.low_power = value & 0xff,
            Register::IntegerBaud => self.integer_baud = value & 0xffff,
            Register::FractionalBaud => self.fractional_baud = value & 0x3f,
            Register::LineControl => self.set_line_control(value),
            Register::Control => self.control = value & 0xff87,
            Register::FifoLevels => {
                self.fifo_levels = value & 0x3f;
            }
            Register::InterruptMask => {
                self.interrupt_mask = value & interrupt::ALL;
                self.update_wire();
            }
            Register::InterruptClear => {
                self.raw_interrupts &= !value;
                self.update_wire();
            }
            Register::DmaControl => self.dma_control = value & 0x7,
            Register::Flags | Register::RawInterrupts | Register::MaskedInterrupts => {}
        }
    }
}

impl<O: SerialOut> Device for Pl011<O> {
    #[inline]
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        // Hottest of all, with the one below: guests ask before each character that they send.
        if offset == FLAGS_OFFSET && width != Width::B8 {
            return u64::from(self.flags()) & width.ones();
        }
        primecell::read(offset, width, |register| self.read_register(register))
    }

    #[inline]
    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        if offset == DATA_OFFSET && width != Width::B8 {
            return self.send(value as u8);
        }
        primecell::write(offset, width, value, |register, value| {
            self.write_register(register, value);
        });
    }

    fn reset(&mut self) {
        self.wire.drive(Level::Low);
        self.fifo = ReceiveFifo::default();
        self.raw_interrupts = 0;
        self.interrupt_mask = 0;
        self.control = CONTROL_RESET;
        self.line_control = 0;
        self.fifo_levels = LEVELS_RESET;
        self.status = 0;
        self.low_power = 0;
        self.integer_baud = 0;
        self.fractional_baud = 0;
        self.dma_control = 0;
    }
}

#[cfg(test)]
mod tests;
