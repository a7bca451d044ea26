//! x86_64, by PVH or multiboot: what it needs to know comes from the loader and from ACPI.

mod acpi;
pub mod board;
mod boot_info;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod interrupt;
pub mod ioapic;
pub mod lapic;
pub mod mmio;
pub mod paging;
pub mod port;
pub mod power;
pub mod rtc;
pub mod smp;
pub mod trap;

use core::arch::global_asm;

use crate::board::Board;

global_asm!(include_str!("entry.S"), options(att_syntax, raw));
global_asm!(include_str!("traps.S"), options(att_syntax, raw));

/// Where the entry code comes to, on the CPU that the loader started, with what was in EAX and EBX.
#[unsafe(no_mangle)]
extern "C" fn guest_boot(magic: u32, information: usize) -> ! {
    trap::load_gates();
    paging::map_high();
    match board::discover(magic, information) {
        Some(board) => crate::run(board),
        None => cpu::halt(),
    }
}

/// What is left to do when the machine is known.
pub(crate) fn start(board: &'static Board) {
    interrupt::open(board);
    clock::open();
}
