//! The two ports by which a PC resets itself: the command port of the keyboard controller (Intel 8042,
//! port 0x64) and the reset control register of the chipset (Intel 82371SB, "PIIX3", 2.4.4, port 0xcf9).
//!
//! There is no keyboard behind the first: it reads zero, so that its status shows no data and an empty
//! input buffer, and all its commands but the pulse of the reset line are ignored.

use super::isa;
use super::power::{PowerControl, PowerRequest};
use hv_core::guest::{Device, Width};
use hv_core::time::Instant;

/// Which of the two a port is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Port 0x64.
    KeyboardController,
    /// Port 0xcf9.
    ControlRegister,
}

/// `SRST`: whether a reset is a hard one. Both are the same to a virtual machine.
const SYSTEM_RESET: u8 = 1 << 1;
/// `RCPU`: its rising edge resets.
const RESET_CPU: u8 = 1 << 2;

/// One of the two ports, a window of one byte.
pub struct ResetPort<P> {
    kind: Kind,
    power: P,
    control: u8,
}

impl<P: PowerControl> ResetPort<P> {
    /// A port which resets the machine by `power`.
    pub fn new(kind: Kind, power: P) -> Self {
        Self { kind, power, control: 0 }
    }

    fn command(&mut self, value: u8) {
        let is_reset = match self.kind {
            // "Pulse output port": the low four bits are the lines that stay as they are, of which
            // bit 0 is the reset line.
            Kind::KeyboardController => value & 0xf1 == 0xf0,
            Kind::ControlRegister => {
                let rises = value & !self.control & RESET_CPU != 0;
                self.control = value & (SYSTEM_RESET | RESET_CPU);
                rises
            }
        };
        if is_reset {
            self.power.request(PowerRequest::Reset);
        }
    }
}

impl<P: PowerControl> Device for ResetPort<P> {
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        isa::read(offset, width, |at| if at == 0 { self.control } else { isa::FLOATING })
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        isa::write(offset, width, value, |at, value| {
            if at == 0 {
                self.command(value);
            }
        });
    }

    fn reset(&mut self) {
        self.control = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::power::testing::Requests;
    use alloc::sync::Arc;

    fn port(kind: Kind) -> (ResetPort<Arc<Requests>>, Arc<Requests>) {
        let requests = Arc::new(Requests::default());
        (ResetPort::new(kind, requests.clone()), requests)
    }

    fn write(port: &mut ResetPort<Arc<Requests>>, value: u64) {
        port.write(0, Width::B1, value, Instant(0));
    }

    #[test]
    fn linux_resets_by_the_keyboard_controller() {
        let (mut port, requests) = port(Kind::KeyboardController);
        assert_eq!(port.read(0, Width::B1, Instant(0)) & 2, 0, "it waits for the input buffer");
        write(&mut port, 0xfe);
        assert_eq!(requests.take(), [PowerRequest::Reset]);
    }

    #[test]
    fn other_commands_of_the_keyboard_controller_do_nothing() {
        let (mut port, requests) = port(Kind::KeyboardController);
        for command in (0..=0xff).filter(|command| command & 0xf1 != 0xf0) {
            write(&mut port, command);
        }
        assert_eq!(requests.take(), []);
    }

    #[test]
    fn the_control_register_resets_at_the_rising_edge_as_linux_makes_it() {
        let (mut port, requests) = port(Kind::ControlRegister);
        write(&mut port, 0x02);
        assert_eq!(requests.take(), []);
        assert_eq!(port.read(0, Width::B1, Instant(0)), 0x02);
        write(&mut port, 0x06);
        write(&mut port, 0x06);
        assert_eq!(requests.take(), [PowerRequest::Reset], "once");
        port.reset();
        write(&mut port, 0x06);
        assert_eq!(requests.take(), [PowerRequest::Reset]);
    }

    #[test]
    fn bytes_after_the_port_are_no_ones() {
        let (mut port, requests) = port(Kind::ControlRegister);
        assert_eq!(port.read(0, Width::B4, Instant(0)), 0xffff_ff00);
        port.write(1, Width::B1, 0x06, Instant(0));
        assert_eq!(requests.take(), []);
    }
}
