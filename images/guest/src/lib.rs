//! What a bare-metal guest stands on. A guest is a `#[no_std]` binary with a
//! `#[unsafe(no_mangle)] fn guest_main(board: &'static Board)`; it is entered on one CPU, with an identity map, interrupts
//! masked, and the console ready. When it returns, the machine is switched off.
//!
//! What is the same on all architectures is here; [`arch`] is the rest, in modules with the same names and contracts:
//!
//! | module | has |
//! |---|---|
//! | `board` | `Devices`, `discover` |
//! | `clock` | `now`, `now_in_order`, `frequency`, `instructions`, `start`, `stop`, `interrupt` |
//! | `console` | `Port`, `put`, `get`, `interrupt`, `listen`, `deafen` |
//! | `cpu` | `yield_now`, `sleep`, `halt`, interrupts masked or not |
//! | `interrupt` | `start`, `enable`, `disable`, `send`, `own_cpu`, `ipi`, `name` |
//! | `mmio` | `Registers` |
//! | `paging` | the identity map |
//! | `power` | `off`, `reset` |
//! | `rtc` | `seconds` |
//! | `smp` | `start`, `stop`, `is_off` |
//! | `trap` | `expect`, `expect_branch`, `on_interrupt`, `Trap` |
#![no_std]

#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
pub mod arch;
pub mod board;
pub mod console;
pub mod once;
pub mod ram;
pub mod time;

pub use arch::{cpu, interrupt, mmio, power, rtc, smp, trap};

use core::panic::PanicInfo;

use board::Board;
use once::Once;

static BOARD: Once<Board> = Once::new();

unsafe extern "Rust" {
    /// The guest's own part.
    safe fn guest_main(board: &'static Board);
}

/// From here on it is the same everywhere: the machine is known, and so are its devices.
fn run(board: Board) -> ! {
    let board = BOARD.set(board);
    console::open(board.console);
    arch::start(board);
    guest_main(board);
    power::off(board)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("guest: {info}");
    match BOARD.get() {
        Some(board) => power::off(board),
        None => cpu::halt(),
    }
}
