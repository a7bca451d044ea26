//! The console, polled.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::console::get as get_from;
pub use crate::arch::console::{Port, deafen, interrupt, listen, put};
use crate::cpu;
use crate::once::Once;

static PORT: Once<Port> = Once::new();

/// Whole lines of several CPUs do not mix.
static BUSY: AtomicBool = AtomicBool::new(false);

pub(crate) fn open(port: Port) {
    PORT.set(port);
}

/// The next byte that was typed, if any.
pub fn get() -> Option<u8> {
    get_from(*PORT.get()?)
}

struct Writer(Port);

impl Write for Writer {
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
    let Some(port) = PORT.get() else { return };
    while BUSY.swap(true, Ordering::Acquire) {
        cpu::yield_now();
    }
    // Writing to a UART cannot fail.
    let _ = Writer(*port).write_fmt(arguments);
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
