//! AArch64, wherever Linux runs: everything it needs to know comes from the device tree. At EL1 the MMU is on, with an
//! identity map of 512 GiB.

pub mod board;
pub mod clock;
pub mod console;
pub mod cpu;
pub mod gic;
pub mod mmio;
mod paging;
pub mod power;
pub mod psci;
pub mod rtc;
pub mod smp;
pub mod trap;

pub use gic as interrupt;

use core::arch::global_asm;

use crate::board::Board;

global_asm!(include_str!("entry.S"), options(raw));
global_asm!(include_str!("vectors.S"), options(raw));

/// Where the entry code comes to, on the CPU that the loader started. `device_tree` is what it found in x0.
#[unsafe(no_mangle)]
extern "C" fn guest_boot(device_tree: usize) -> ! {
    paging::map_identity(None);
    if cpu::exception_level() == 1 {
        cpu::enable_mmu();
        cpu::set_vectors(trap::vectors());
    }
    match board::discover(device_tree) {
        Some(board) => crate::run(board),
        // Nobody to tell: there is no device tree to name a console.
        None => cpu::halt(),
    }
}

/// What is left to do when the machine is known.
pub(crate) fn start(board: &'static Board) {
    if cpu::exception_level() == 1 {
        paging::map_identity(Some(board.ram));
        cpu::flush_tlb();
    }
    if let Some(gic) = board.devices.gic {
        gic::open(gic);
    }
}
