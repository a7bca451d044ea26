//! The console of the host: the first 16550 that answers, by the `uart_16550` crate.

// UNSAFETY: the driver wants a promise about its ports.
#![expect(unsafe_code)]

use super::insn;
use crate::console::{Reception, Sending, SerialPort};
use core::sync::atomic::{AtomicU16, Ordering};
use uart_16550::backend::Backend;
use uart_16550::spec::registers::{IER, LSR};
use uart_16550::{BaudRate, Config, Uart16550};

/// Registers at ports from here on.
struct Ports(u16);

// The crate's own backend of this kind exists on x86 only, and these modules everywhere.
impl Backend for Ports {
    unsafe fn read(&mut self, register: u8) -> u8 {
        insn::in8(self.0 + u16::from(register))
    }

    unsafe fn write(&mut self, register: u8, value: u8) {
        insn::out8(self.0 + u16::from(register), value);
    }
}

/// The first and the second serial port of a PC.
pub(super) const PORTS: [u16; 2] = [0x3f8, 0x2f8];

/// The port of the one that was found; 0 is none.
static FOUND: AtomicU16 = AtomicU16::new(0);
const LINE_STATUS: u16 = 5;

/// A serial port.
pub(crate) struct HostUart {
    uart: Uart16550<Ports>,
    /// Bytes that its FIFO is known to have room for.
    room: usize,
    index: usize,
}

impl HostUart {
    /// The first that is there, set to 115,200 baud, 8N1. There is one driver of it at a time: the boot hands it over.
    pub(super) fn find() -> Option<Self> {
        (0..PORTS.len()).find_map(Self::at)
    }

    fn at(index: usize) -> Option<Self> {
        // SAFETY: the ports of a PC's serial ports; where there is none, nothing answers.
        let mut uart = unsafe { Uart16550::new_with_backend(Ports(*PORTS.get(index)?)) };
        let config = Config { baud_rate: BaudRate::Baud115200, ..Config::DEFAULT };
        uart.init(config).ok()?;
        FOUND.store(*PORTS.get(index)?, Ordering::Relaxed);
        Some(Self { uart, room: 0, index })
    }

    /// Which of [`PORTS`] it is.
    pub(super) fn index(&self) -> usize {
        self.index
    }
}

impl SerialPort for HostUart {
    fn try_send(&mut self, byte: u8) -> bool {
        const FIFO_BYTES: usize = 16;
        if self.room == 0 {
            if !self.uart.lsr().contains(LSR::THR_EMPTY) {
                return false;
            }
            self.room = if self.uart.fifo_enabled() { FIFO_BYTES } else { 1 };
        }
        self.room -= 1;
        insn::out8(PORTS.get(self.index).copied().unwrap_or(PORTS[0]), byte);
        true
    }

    fn receive(&mut self) -> Option<u8> {
        self.uart.try_receive_byte().ok()
    }

    fn want_interrupts(&mut self, reception: Reception, sending: Sending) {
        let receive = match reception {
            Reception::Wanted => IER::DATA_READY,
            Reception::Refused => IER::empty(),
        };
        let wanted = match sending {
            Sending::Idle => receive,
            Sending::Waiting => receive | IER::THR_EMPTY,
        };
        // Its wire is an edge at the interrupt controller. Off and on again, it rises for what waits already.
        let _ = self.uart.isr();
        self.uart.disable_interrupts(IER::all());
        self.uart.enable_interrupts(wanted);
    }
}

/// Waits, not for ever, until a bit of the line status is set, if there is a port.
fn wait_for(status: LSR) -> Option<u16> {
    const PATIENCE: u32 = 10_000_000;
    let port = Some(FOUND.load(Ordering::Relaxed)).filter(|&port| port != 0)?;
    for _ in 0..PATIENCE {
        if insn::in8(port + LINE_STATUS) & status.bits() != 0 {
            break;
        }
    }
    Some(port)
}

/// Sends a byte past all locks: for a panic.
pub(crate) fn emergency_write(byte: u8) {
    if let Some(port) = wait_for(LSR::THR_EMPTY) {
        insn::out8(port, byte);
    }
}

/// Waits until the last byte is on the wire.
pub(super) fn drain() {
    wait_for(LSR::TRANSMITTER_EMPTY);
}
