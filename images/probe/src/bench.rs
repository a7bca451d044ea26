//! What operations cost that a hypervisor has a hand in.

mod call;
mod console;
mod device;
mod identity;
mod sgi;
mod timer;
mod touch;

use guest::board::Board;
use guest::println;

type Bench = fn(&'static Board, &str);

/// Each by its name, in the order in which they run.
const BENCHES: [(&str, Bench); 12] = [
    ("loop", call::nothing),
    ("hvc-version", call::version),
    ("hvc-unknown", call::unknown),
    ("mmio-gicd-typer", device::distributor),
    ("mmio-uart-fr", device::uart),
    ("id-register", identity::register),
    ("sgi-self", sgi::to_self),
    ("timer-spin", timer::spinning),
    ("timer-wfi", timer::sleeping),
    ("first-touch", touch::pages),
    ("console-char", console::characters),
    // Last: from then on there is a second CPU to share with.
    ("sgi-ping-pong", sgi::ping_pong),
];

/// Runs the benchmark with this name, or all.
pub(crate) fn run(board: &'static Board, name: &str) {
    let mut known = name == "all";
    for (bench_name, bench) in BENCHES {
        if name == "all" || name == bench_name {
            known = true;
            bench(board, bench_name);
        }
    }
    if !known {
        println!("probe: FAIL {name} no such benchmark");
    }
}
