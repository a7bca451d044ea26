//! The 16550A UART (National Semiconductor, "NS16550AF Universal Asynchronous Receiver/Transmitter with
//! FIFOs", DS009-3), of which a PC has one at port 0x3f8.
//!
//! Sending takes no time: the transmitter is always empty, and each character raises the transmit
//! interrupt anew. Nothing is paced by the baud rate. A received character is followed by silence, as
//! far as the guest can tell, so the FIFO's timeout (8.4.1) has always run out when the FIFO holds
//! fewer characters than its trigger level.
//!
//! Two things are more lenient than the chip on a PC's board, because guests that were built for QEMU
//! rely on them: the interrupt reaches its wire without `OUT2`, and a character that finds no room is
//! lost instead of replacing the one before it when the FIFO is off.

use super::isa;
use super::receive_fifo::{Mode, ReceiveFifo};
use super::serial::SerialOut;
use super::wire::Wire;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

pub use super::receive_fifo::Received;

/// The registers (table II), found by their offset and by `DLAB`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    /// `RBR` and `THR`.
    Data,
    InterruptEnable,
    /// `IIR` and `FCR`.
    InterruptIdentity,
    LineControl,
    ModemControl,
    LineStatus,
    ModemStatus,
    Scratch,
    DivisorLow,
    DivisorHigh,
}

const LINE_STATUS_OFFSET: u64 = 5;

/// Bits of `IER` (8.6).
mod enable {
    pub(super) const RECEIVE: u8 = 1 << 0;
    pub(super) const TRANSMIT: u8 = 1 << 1;
    pub(super) const LINE_STATUS: u8 = 1 << 2;
    pub(super) const MODEM_STATUS: u8 = 1 << 3;
    pub(super) const ALL: u8 = 0xf;
}

/// What `IIR` says (table IV), the most urgent first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Cause {
    LineStatus = 0x6,
    Received = 0x4,
    ReceiveTimeout = 0xc,
    Transmit = 0x2,
    ModemStatus = 0x0,
    None = 0x1,
}

/// `IIR`, bits 6 and 7: the FIFOs are on.
const FIFOS_ENABLED: u8 = 0xc0;

/// Bits of `FCR` (8.4).
mod fifo_control {
    pub(super) const ENABLE: u8 = 1 << 0;
    pub(super) const CLEAR_RECEIVE: u8 = 1 << 1;
}

/// Bits of `LSR` (8.3).
mod line_status {
    pub(super) const DATA_READY: u8 = 1 << 0;
    pub(super) const OVERRUN: u8 = 1 << 1;
    /// `THRE` and `TEMT`.
    pub(super) const TRANSMITTER_EMPTY: u8 = 3 << 5;
}

/// Bits of `MCR` (8.7).
mod modem_control {
    pub(super) const LOOPBACK: u8 = 1 << 4;
    pub(super) const ALL: u8 = 0x1f;
}

/// Bits of `MSR` (8.8): its inputs in the high half, what has changed in the low one.
mod modem_status {
    pub(super) const CLEAR_TO_SEND: u8 = 1 << 4;
    pub(super) const DATA_SET_READY: u8 = 1 << 5;
    pub(super) const RING: u8 = 1 << 6;
    pub(super) const CARRIER: u8 = 1 << 7;
    /// The other end is always there.
    pub(super) const CONNECTED: u8 = CLEAR_TO_SEND | DATA_SET_READY | CARRIER;
}

/// `LCR.DLAB`: the divisor is where data and `IER` are otherwise.
const DIVISOR_LATCH: u8 = 1 << 7;
/// The divisor for 9600 baud, as a PC's firmware leaves it. The chip does not reset it.
const DIVISOR_RESET: u16 = 12;

/// Whether the transmitter has become empty without the guest having been told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Transmitter {
    Idle,
    Emptied,
}

/// One UART.
pub struct Uart16550<O> {
    out: O,
    wire: Wire,
    fifo: ReceiveFifo,
    transmitter: Transmitter,
    interrupt_enable: u8,
    fifo_trigger: usize,
    line_control: u8,
    modem_control: u8,
    overrun: u8,
    modem_inputs: u8,
    modem_changes: u8,
    scratch: u8,
    divisor: u16,
}

impl<O: SerialOut> Uart16550<O> {
    /// A UART after reset, which sends to `out` and interrupts by `line`.
    pub fn new(out: O, line: Arc<dyn IrqLine>) -> Self {
        Self {
            out,
            wire: Wire::new(line),
            fifo: ReceiveFifo::default(),
            transmitter: Transmitter::Idle,
            interrupt_enable: 0,
            fifo_trigger: 1,
            line_control: 0,
            modem_control: 0,
            overrun: 0,
            modem_inputs: modem_status::CONNECTED,
            modem_changes: 0,
            scratch: 0,
            divisor: DIVISOR_RESET,
        }
    }

    /// Whether the next character would be received: the FIFO is not full, and the receiver is not
    /// looped back to the transmitter.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.is_looped_back() && self.fifo.has_room()
    }

    /// Receives one character from the outside. One that finds no room is lost, and the guest
    /// is told of the overrun: ask [`has_room`](Self::has_room) first to lose none.
    pub fn receive(&mut self, byte: u8) -> Received {
        if self.is_looped_back() {
            return Received::Lost;
        }
        self.arrive(byte)
    }

    fn is_looped_back(&self) -> bool {
        self.modem_control & modem_control::LOOPBACK != 0
    }

    fn arrive(&mut self, byte: u8) -> Received {
        let received = self.fifo.push(byte);
        if received == Received::Lost {
            self.overrun = line_status::OVERRUN;
        }
        self.update_wire();
        received
    }

    #[inline]
    fn send(&mut self, byte: u8) {
        self.transmitter = Transmitter::Emptied;
        if self.is_looped_back() {
            self.arrive(byte);
        } else {
            self.out.put(byte);
            self.update_wire();
        }
    }

    /// `RBR`: takes the oldest character.
    fn take(&mut self) -> u8 {
        let byte = self.fifo.pop().unwrap_or(0);
        self.update_wire();
        byte
    }

    /// The most urgent of the causes that are enabled (8.5).
    fn cause(&self) -> Cause {
        let is_enabled = |bit: u8| self.interrupt_enable & bit != 0;
        if is_enabled(enable::LINE_STATUS) && self.overrun != 0 {
            Cause::LineStatus
        } else if is_enabled(enable::RECEIVE) && self.fifo.len() >= self.fifo_trigger {
            Cause::Received
        } else if is_enabled(enable::RECEIVE) && !self.fifo.is_empty() {
            Cause::ReceiveTimeout
        } else if is_enabled(enable::TRANSMIT) && self.transmitter == Transmitter::Emptied {
            Cause::Transmit
        } else if is_enabled(enable::MODEM_STATUS) && self.modem_changes != 0 {
            Cause::ModemStatus
        } else {
            Cause::None
        }
    }

    #[inline]
    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.cause() != Cause::None));
    }

    /// `IIR`. Reading it takes note of an empty transmitter, if that is what it says (table IV).
    fn identify(&mut self) -> u8 {
        let cause = self.cause();
        if cause == Cause::Transmit {
            self.transmitter = Transmitter::Idle;
            self.update_wire();
        }
        let fifos = match self.fifo.mode() {
            Mode::Character => 0,
            Mode::Fifo => FIFOS_ENABLED,
        };
        cause as u8 | fifos
    }

    /// `FCR`. Its other bits can be written only together with the one that enables the FIFOs, and
    /// switching the FIFOs on or off empties them.
    fn control_fifo(&mut self, value: u8) {
        let mode = if value & fifo_control::ENABLE == 0 { Mode::Character } else { Mode::Fifo };
        if mode != self.fifo.mode() || value & fifo_control::CLEAR_RECEIVE != 0 {
            self.fifo = ReceiveFifo::new(mode);
        }
        self.fifo_trigger = match (mode, value >> 6) {
            (Mode::Character, _) | (Mode::Fifo, 0) => 1,
            (Mode::Fifo, 1) => 4,
            (Mode::Fifo, 2) => 8,
            (Mode::Fifo, _) => 14,
        };
        self.update_wire();
    }

    /// Enabling the transmit interrupt while the transmitter is empty raises it (8.6): drivers start
    /// to send that way.
    fn enable_interrupts(&mut self, value: u8) {
        if value & !self.interrupt_enable & enable::TRANSMIT != 0 {
            self.transmitter = Transmitter::Emptied;
        }
        self.interrupt_enable = value & enable::ALL;
        self.update_wire();
    }

    /// In loopback, the modem's outputs are its inputs (8.7).
    fn control_modem(&mut self, value: u8) {
        self.modem_control = value & modem_control::ALL;
        let inputs = if self.is_looped_back() {
            let output = |bit: u8, input| if value & bit == 0 { 0 } else { input };
            output(1 << 0, modem_status::DATA_SET_READY)
                | output(1 << 1, modem_status::CLEAR_TO_SEND)
                | output(1 << 2, modem_status::RING)
                | output(1 << 3, modem_status::CARRIER)
        } else {
            modem_status::CONNECTED
        };
        let changes = inputs ^ self.modem_inputs;
        // `TERI` is about the trailing edge only.
        let ring_ended = changes & self.modem_inputs & modem_status::RING;
        self.modem_changes |= (changes & !modem_status::RING | ring_ended) >> 4;
        self.modem_inputs = inputs;
        self.update_wire();
    }

    #[inline]
    fn line_status(&mut self) -> u8 {
        let ready = if self.fifo.is_empty() { 0 } else { line_status::DATA_READY };
        let status = line_status::TRANSMITTER_EMPTY | ready | self.overrun;
        if self.overrun != 0 {
            self.overrun = 0;
            self.update_wire();
        }
        status
    }

    fn modem_status(&mut self) -> u8 {
        let status = self.modem_inputs | self.modem_changes;
        self.modem_changes = 0;
        self.update_wire();
        status
    }

    #[inline]
    const fn register(&self, offset: u64) -> Option<Register> {
        let is_divisor = self.line_control & DIVISOR_LATCH != 0;
        Some(match offset {
            0 if is_divisor => Register::DivisorLow,
            1 if is_divisor => Register::DivisorHigh,
            0 => Register::Data,
            1 => Register::InterruptEnable,
            2 => Register::InterruptIdentity,
            3 => Register::LineControl,
            4 => Register::ModemControl,
            LINE_STATUS_OFFSET => Register::LineStatus,
            6 => Register::ModemStatus,
            7 => Register::Scratch,
            _ => return None,
        })
    }

    fn read_register(&mut self, offset: u64) -> u8 {
        let Some(register) = self.register(offset) else { return isa::FLOATING };
        match register {
            Register::Data => self.take(),
            Register::InterruptEnable => self.interrupt_enable,
            Register::InterruptIdentity => self.identify(),
            Register::LineControl => self.line_control,
            Register::ModemControl => self.modem_control,
            Register::LineStatus => self.line_status(),
            Register::ModemStatus => self.modem_status(),
            Register::Scratch => self.scratch,
            Register::DivisorLow => self.divisor as u8,
            Register::DivisorHigh => (self.divisor >> 8) as u8,
        }
    }

    fn write_register(&mut self, offset: u64, value: u8) {
        let Some(register) = self.register(offset) else { return };
        match register {
            Register::Data => self.send(value),
            Register::InterruptEnable => self.enable_interrupts(value),
            Register::InterruptIdentity => self.control_fifo(value),
            Register::LineControl => self.line_control = value,
            Register::ModemControl => self.control_modem(value),
            // Writing the line status is for factory tests (8.3).
            Register::LineStatus | Register::ModemStatus => {}
            Register::Scratch => self.scratch = value,
            Register::DivisorLow => self.divisor = self.divisor & 0xff00 | u16::from(value),
            Register::DivisorHigh => self.divisor = self.divisor & 0xff | u16::from(value) << 8,
        }
    }
}

impl<O: SerialOut> Device for Uart16550<O> {
    #[inline]
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        // Hottest of all: guests ask before each character that they send.
        if offset == LINE_STATUS_OFFSET && width == Width::B1 {
            return u64::from(self.line_status());
        }
        isa::read(offset, width, |offset| self.read_register(offset))
    }

    #[inline]
    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        isa::write(offset, width, value, |offset, value| self.write_register(offset, value));
    }

    fn reset(&mut self) {
        self.wire.drive(Level::Low);
        self.fifo = ReceiveFifo::default();
        self.transmitter = Transmitter::Idle;
        self.interrupt_enable = 0;
        self.fifo_trigger = 1;
        self.line_control = 0;
        self.modem_control = 0;
        self.overrun = 0;
        self.modem_inputs = modem_status::CONNECTED;
        self.modem_changes = 0;
        self.scratch = 0;
        self.divisor = DIVISOR_RESET;
    }
}

#[cfg(test)]
mod tests;
