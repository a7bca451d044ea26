//! A boot sector: greets from real mode, takes three timer interrupts by the 8259, switches off.
#![no_std]
#![no_main]

use core::arch::global_asm;
use core::panic::PanicInfo;

global_asm!(include_str!("real.S"), options(att_syntax, raw));

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
