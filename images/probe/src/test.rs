//! Good and bad behaviour, one test a file.

mod echo;
mod exec_mmio;
mod flood;
mod fp;
mod gic;
mod idle;
mod jump;
mod ldp_mmio;
mod pause;
mod psci;
mod ram;
mod rtc;
mod sgi_storm;
mod smc;
mod smp;
mod spin;
mod sysregs;
mod timer;
mod unaligned_mmio;
mod walk;
mod wild_write;

use guest::board::Board;
use guest::println;

use crate::report::{Failure, Outcome};

type Test = fn(&'static Board) -> Outcome;

/// Each by its name. Those whose name says `crash` do not come back, unless the machine lets them.
const TESTS: [(&str, Test); 28] = [
    ("echo", echo::run),
    ("exec-mmio", exec_mmio::run),
    ("exec-mmio-crash", exec_mmio::crash),
    ("flood", flood::run),
    ("fp", fp::run),
    ("gic", gic::run),
    ("idle", idle::run),
    ("jump", jump::run),
    ("jump-crash", jump::crash),
    ("ldp-mmio", ldp_mmio::run),
    ("pause", pause::run),
    ("psci", psci::run),
    ("psci-entry", psci::entry),
    ("ram", ram::run),
    ("rtc", rtc::run),
    ("sgi-storm", sgi_storm::run),
    ("smc", smc::run),
    ("smp", smp::run),
    ("spin", spin::run),
    ("sysregs", sysregs::run),
    ("sysregs-write", sysregs::write),
    ("sysregs-instructions", sysregs::instructions),
    ("timer", timer::run),
    ("unaligned-mmio", unaligned_mmio::run),
    ("walk", walk::run),
    ("walk-crash", walk::crash),
    ("wild-write", wild_write::run),
    ("wild-write-crash", wild_write::crash),
];

/// Runs the test with this name.
pub(crate) fn run(board: &'static Board, name: &str) {
    let Some((_, test)) = TESTS.iter().find(|(test_name, _)| *test_name == name) else {
        println!("probe: FAIL {name} no such test");
        return;
    };
    match test(board) {
        Ok(()) => println!("probe: ok {name}"),
        Err(Failure { what, value }) => println!("probe: FAIL {name} {what} ({value:#x})"),
    }
}
