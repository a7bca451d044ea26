//! A guest that tests and measures the machine it runs on, from inside.
//!
//! Its command line says what to do; several words may:
//!
//! ```text
//! bench=all | bench=NAME,NAME     what each operation costs (see bench.rs); also when nothing is said
//! test=NAME,NAME                  good and bad behaviour (see test.rs)
//! seconds=N lines=N seed=N then=reset     for the tests that read them
//! ```
//!
//! Its output is for machines to read: `probe: bench NAME min=M avg=A n=N` in instructions (where the counter counts
//! them: under QEMU's `-icount shift=0`, and in Bochs), `probe: ok NAME`, `probe: FAIL NAME why`, `probe: info ...`, and
//! `probe: done` before it powers off.
#![no_std]
#![no_main]

#[cfg_attr(target_arch = "aarch64", path = "aarch64/mod.rs")]
#[cfg_attr(target_arch = "x86_64", path = "x86_64/mod.rs")]
mod arch;
mod batch;
mod bench;
mod report;
mod test;
mod virtio;

use guest::board::Board;
use guest::{interrupt, power, println};

#[unsafe(no_mangle)]
fn guest_main(board: &'static Board) {
    println!(
        "probe: start cpus={} ram={:#x}+{:#x} interrupts={} arguments='{}'",
        board.cpu_count,
        board.ram.start,
        board.ram.size,
        interrupt::name(),
        board.arguments
    );
    interrupt::start();
    let tests = board.argument("test");
    if let Some(names) = tests {
        names.split(',').for_each(|name| test::run(board, name));
    }
    if let Some(names) = board.argument("bench").or(tests.is_none().then_some("all")) {
        names.split(',').for_each(|name| bench::run(board, name));
    }
    println!("probe: done");
    if board.argument("then") == Some("reset") {
        power::reset(board);
    }
}
