//! Tests of what only AArch64 has.

mod fp;
mod gic;
mod ldp_mmio;
mod psci;
mod smc;
mod sysregs;
mod timer;
mod unaligned_mmio;
mod walk;

use crate::test::Test;

/// Each by its name.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("fp", fp::run),
    ("gic", gic::run),
    ("ldp-mmio", ldp_mmio::run),
    ("psci", psci::run),
    ("psci-entry", psci::entry),
    ("smc", smc::run),
    ("sysregs", sysregs::run),
    ("sysregs-write", sysregs::write),
    ("sysregs-instructions", sysregs::instructions),
    ("timer", timer::run),
    ("unaligned-mmio", unaligned_mmio::run),
    ("walk", walk::run),
    ("walk-crash", walk::crash),
];
