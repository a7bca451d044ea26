//! Benchmarks of what only a PC has.

mod call;
mod device;
mod register;

use crate::bench::Bench;

/// Each by its name, in the order in which they run.
pub(crate) const BENCHES: &[(&str, Bench)] = &[
    ("cpuid", register::cpuid),
    ("rdmsr-pat", register::pat),
    ("hypercall", call::known),
    ("hypercall-unknown", call::unknown),
    ("port-read", device::port_read),
    ("port-write", device::port_write),
    ("lapic-read", device::lapic_read),
    ("lapic-write", device::lapic_write),
    ("ioapic-read", device::ioapic_read),
    ("ioapic-write", device::ioapic_write),
];
