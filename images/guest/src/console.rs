//! The console: a PL011 (ARM DDI 0183), polled.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::cpu;
use crate::mmio::Registers;
use crate::once::Once;

/// Offset of the data register.
pub const DR: usize = 0x00;
/// Offset of the flag register.
pub const FR: usize = 0x18;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;

static UART: Once<Registers> = Once::new();

/// Whole lines of several CPUs do not mix.
static BUSY: AtomicBool = AtomicBool::new(false);

pub(crate) fn open(uart: Registers) {
    UART.set(uart);
}

/// Writes one byte, when there is room.
#[inline(always)]
pub fn put(uart: Registers, byte: u8) {
    while uart.read32(FR) & FR_TXFF != 0 {
        cpu::yield_now();
    }
    uart.write32(DR, u32::from(byte));
}

/// The next byte that was typed, if any.
pub fn get() -> Option<u8> {
    let uart = *UART.get()?;
    (uart.read32(FR) & FR_RXFE == 0).then(|| uart.read32(DR) as u8)
}

struct Uart(Registers);

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(self.0, b'\r');
            }
            put(self.0, byte);
        }
        Ok(())
    }
}

/// Prints formatted text; what [`println!`](crate::println) and [`print!`](crate::print) call.
pub fn print(arguments: fmt::Arguments<'_>) {
    let Some(uart) = UART.get() else { return };
    while BUSY.swap(true, Ordering::Acquire) {
        cpu::yield_now();
    }
    // Writing to a UART cannot fail.
    let _ = Uart(*uart).write_fmt(arguments);
    BUSY.store(false, Ordering::Release);
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::console::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}
