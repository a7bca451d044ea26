//! The console UART of the host, a PL011, by the `arm-pl011-uart` crate.

// UNSAFETY: the driver wants a pointer to the registers.
#![expect(unsafe_code)]

use super::discovery::UartNode;
use crate::console::{Reception, Sending, SerialPort};
use arm_pl011_uart::{
    DataBits, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer,
};
use core::ptr::NonNull;

/// The UART, as the firmware or the emulator left its line settings.
pub(crate) struct HostUart {
    uart: Uart<'static>,
}

impl HostUart {
    /// The UART of `node`. There is one driver of it at a time: the boot hands it over.
    pub(super) fn new(node: &UartNode) -> Option<Self> {
        let pointer =
            core::ptr::with_exposed_provenance_mut::<PL011Registers>(node.registers.start as usize);
        let pointer = NonNull::new(pointer)?;
        // SAFETY: the device tree says that these are a PL011's registers, mapped as device memory (or the
        // MMU is off); our caller sees to it that there is one driver.
        let registers = unsafe { UniqueMmioPointer::new(pointer) };
        Some(Self { uart: Uart::new(registers) })
    }

    /// Sets 115,200 baud, 8N1, with FIFOs, if the frequency of the UART's clock is known; else the line stays as the
    /// firmware left it.
    pub(crate) fn line_up(mut self, clock_hz: Option<u32>) {
        let line = LineConfig {
            data_bits: DataBits::Bits8,
            parity: Parity::None,
            stop_bits: StopBits::One,
        };
        if let Some(clock_hz) = clock_hz {
            // A clock too slow for the rate leaves the line as it is.
            let _ = self.uart.enable(line, 115_200, clock_hz);
        }
    }
}

impl SerialPort for HostUart {
    fn try_send(&mut self, byte: u8) -> bool {
        if self.uart.is_tx_fifo_full() {
            return false;
        }
        self.uart.write_word(byte);
        true
    }

    fn receive(&mut self) -> Option<u8> {
        loop {
            match self.uart.read_word() {
                Ok(byte) => return byte,
                Err(_) if self.uart.is_rx_fifo_empty() => return None,
                Err(_) => {}
            }
        }
    }

    fn want_interrupts(&mut self, reception: Reception, sending: Sending) {
        let receive = match reception {
            Reception::Wanted => Interrupts::RXI | Interrupts::RTI,
            Reception::Refused => Interrupts::empty(),
        };
        let masks = match sending {
            Sending::Idle => receive,
            Sending::Waiting => receive | Interrupts::TXI,
        };
        self.uart.set_interrupt_masks(masks);
        self.uart.clear_interrupts(
            Interrupts::OEI | Interrupts::BEI | Interrupts::PEI | Interrupts::FEI,
        );
    }
}
