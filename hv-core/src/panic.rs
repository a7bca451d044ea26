//! The end of the hypervisor by its own fault: say what, where and how it came there, then stop the machine with a
//! failing status.

use crate::arch::current as arch;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

/// The console without locks, for one that is dying.
struct Emergency;

impl Write for Emergency {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                arch::emergency_write(b'\r');
            }
            arch::emergency_write(byte);
        }
        Ok(())
    }
}

/// The status with which a panic ends an emulator.
const PANIC_STATUS: u8 = 101;

/// Reports `what` and the chain of callers, and stops the machine.
pub fn die(what: fmt::Arguments<'_>, frame_pointer: u64) -> ! {
    static DYING: AtomicBool = AtomicBool::new(false);
    // A second panic, here or on another CPU, adds nothing and must not recurse.
    if !DYING.swap(true, Ordering::Relaxed) {
        let mut console = Emergency;
        // Emergency never fails.
        let _ = writeln!(console, "\n*** Roost panicked: {what}");
        let _ = writeln!(console, "backtrace, as offsets into the image:");
        for address in arch::backtrace(frame_pointer) {
            let _ = writeln!(console, "  {address:#x}");
        }
        arch::end(crate::machine::End::Exit(PANIC_STATUS));
        // No emulator took the status: what other CPUs still run cannot be answered for.
        arch::end(crate::machine::End::Off);
    }
    loop {
        arch::sleep();
    }
}

/// The binary's panic handler calls this.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    die(format_args!("{info}"), arch::frame_pointer())
}
