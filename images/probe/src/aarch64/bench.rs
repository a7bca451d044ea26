//! Benchmarks of what only AArch64 has.

mod call;
mod device;
mod identity;

use crate::bench::Bench;

/// Each by its name, in the order in which they run.
pub(crate) const BENCHES: &[(&str, Bench)] = &[
    ("hvc-version", call::version),
    ("hvc-unknown", call::unknown),
    ("mmio-gicd-typer", device::distributor),
    ("mmio-uart-fr", device::uart),
    ("id-register", identity::register),
];
