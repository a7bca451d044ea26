//! What operations cost that a hypervisor has a hand in.

mod console;
mod ipi;
mod timer;
mod touch;

use guest::board::Board;
use guest::{cpu, println};

use crate::{arch, batch};

/// A benchmark gets the machine, and its own name.
pub(crate) type Bench = fn(&'static Board, &str);

/// Each by its name, in the order in which they run; the architecture's own are behind the first.
const BENCHES: [(&str, Bench); 7] = [
    ("loop", nothing),
    ("ipi-self", ipi::to_self),
    ("timer-spin", timer::spinning),
    ("timer-sleep", timer::sleeping),
    ("first-touch", touch::pages),
    ("console-char", console::characters),
    // Last: from then on there is a second CPU to share with.
    ("ipi-ping-pong", ipi::ping_pong),
];

/// Runs the benchmark with this name, or all.
pub(crate) fn run(board: &'static Board, name: &str) {
    let mut known = name == "all";
    let (first, others) = BENCHES.split_at(1);
    for &(bench_name, bench) in first.iter().chain(arch::BENCHES).chain(others) {
        if name == "all" || name == bench_name {
            known = true;
            bench(board, bench_name);
        }
    }
    if !known {
        println!("probe: FAIL {name} no such benchmark");
    }
}

/// The measuring loop itself, for comparison.
fn nothing(_: &'static Board, name: &str) {
    batch::measure(name, cpu::yield_now);
}
