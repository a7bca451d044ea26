//! Tests of what only a PC has.

mod apic;
mod code;
mod control;
mod cpuid;
mod fp;
mod halt;
mod hypercall;
mod mmio;
mod msrs;
mod nested;
mod nmi;
mod ports;
mod repeat;
mod reset;
mod self_modifying;
mod timer;
mod walk;

use crate::test::Test;

/// Each by its name.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("apic", apic::run),
    ("control", control::run),
    ("cpuid", cpuid::run),
    ("fp", fp::run),
    ("hlt-off", halt::run),
    ("hypercall", hypercall::run),
    ("mmio", mmio::run),
    ("mmio-string", mmio::string),
    ("mmio-edge", mmio::edge),
    ("mmio-vector-crash", mmio::vector),
    ("msrs", msrs::run),
    ("msrs-write", msrs::write),
    ("msrs-flood", msrs::flood),
    ("nested", nested::run),
    ("nmi", nmi::run),
    ("ports", ports::run),
    ("ports-write", ports::write),
    ("ports-string", ports::string),
    ("repeat", repeat::run),
    ("reset-keyboard", reset::keyboard),
    ("self-modifying", self_modifying::run),
    ("timer", timer::run),
    ("triple-fault-crash", reset::triple_fault),
    ("walk", walk::run),
    ("walk-crash", walk::crash),
    ("walk-loop", walk::loops),
    ("walk-race", walk::race),
];
