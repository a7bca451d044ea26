//! Good and bad behaviour, one test a file.

mod echo;
mod exec_mmio;
mod flood;
mod idle;
mod ipi_storm;
mod jump;
mod pause;
mod ram;
mod rtc;
mod smp;
mod spin;
mod virtio;
mod wild_write;

pub(crate) use jump::NOWHERE;

use guest::board::Board;
use guest::println;

use crate::arch;
use crate::report::{Failure, Outcome};

pub(crate) type Test = fn(&'static Board) -> Outcome;

/// Each by its name; the architecture's own come on top. Those whose name says `crash` do not come back, unless the
/// machine lets them.
const TESTS: [(&str, Test); 22] = [
    ("echo", echo::run),
    ("exec-mmio", exec_mmio::run),
    ("exec-mmio-crash", exec_mmio::crash),
    ("flood", flood::run),
    ("idle", idle::run),
    ("ipi-storm", ipi_storm::run),
    ("jump", jump::run),
    ("jump-crash", jump::crash),
    ("pause", pause::run),
    ("ram", ram::run),
    ("rtc", rtc::run),
    ("smp", smp::run),
    ("spin", spin::run),
    ("virtio-balloon", virtio::balloon),
    ("virtio-block", virtio::block),
    ("virtio-console", virtio::console),
    ("virtio-entropy", virtio::entropy),
    ("virtio-net", virtio::net),
    ("virtio-packed", virtio::packed),
    ("virtio-race", virtio::race),
    ("wild-write", wild_write::run),
    ("wild-write-crash", wild_write::crash),
];

/// Runs the test with this name.
pub(crate) fn run(board: &'static Board, name: &str) {
    let mut tests = TESTS.iter().chain(arch::TESTS);
    let Some((_, test)) = tests.find(|(test_name, _)| *test_name == name) else {
        println!("probe: FAIL {name} no such test");
        return;
    };
    match test(board) {
        Ok(()) => println!("probe: ok {name}"),
        Err(Failure { what, value }) => println!("probe: FAIL {name} {what} ({value:#x})"),
    }
}
