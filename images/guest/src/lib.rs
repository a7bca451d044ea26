//! What a bare-metal AArch64 guest stands on. A guest is a `#[no_std]` binary with a
//! `#[unsafe(no_mangle)] fn guest_main(board: &'static Board)`; it is entered on one CPU, with the MMU on (identity
//! map of 512 GiB, at EL1), interrupts masked, and the console ready.
//!
//! It runs wherever Linux runs: everything it needs to know comes from the device tree.
#![no_std]

pub mod board;
pub mod console;
pub mod cpu;
pub mod gic;
pub mod mmio;
pub mod once;
pub mod psci;
pub mod ram;
pub mod smp;
pub mod time;
pub mod trap;

use core::arch::global_asm;
use core::panic::PanicInfo;

use board::Board;
use once::Once;

global_asm!(include_str!("entry.S"), options(raw));
global_asm!(include_str!("vectors.S"), options(raw));

static BOARD: Once<Board> = Once::new();

unsafe extern "Rust" {
    /// The guest's own part.
    safe fn guest_main(board: &'static Board);
}

/// Where the entry code comes to, on the CPU that the loader started. `device_tree` is what it found in x0.
#[unsafe(no_mangle)]
extern "C" fn guest_boot(device_tree: usize) -> ! {
    ram::map_identity(None);
    if cpu::exception_level() == 1 {
        cpu::enable_mmu();
        cpu::set_vectors(trap::vectors());
    }
    if let Some(board) = board::discover(device_tree) {
        let board = BOARD.set(board);
        console::open(board.uart);
        if cpu::exception_level() == 1 {
            ram::map_identity(Some(board.ram));
            cpu::flush_tlb();
        }
        if let Some(gic) = board.gic {
            gic::open(gic);
        }
        guest_main(board);
        psci::system_off(board.conduit);
    }
    // Nobody to tell: there is no device tree to name a console.
    cpu::halt()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("guest: {info}");
    if let Some(board) = BOARD.get() {
        psci::system_off(board.conduit);
    }
    cpu::halt()
}
