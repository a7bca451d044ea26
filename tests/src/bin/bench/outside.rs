//! Figures of Roost from outside of any guest: nothing bare compares.

use std::fs;

use machine_tests::{Arch, built};
use serde_json::Value;

use crate::figure::{Figure, Unit};
use crate::lines::field;

/// From power-on to the first prompt of the shell.
pub(crate) fn prompt(name: &str, documents: &[Value], target: Option<f64>) -> Figure {
    Figure::without_bare(name, Unit::Instructions, field(documents, "uptime_ns", 0), target)
}

/// What is built, as a boot loader gets it.
pub(crate) fn binary(arch: Arch, file: &str, target: Option<f64>) -> Figure {
    let size = fs::metadata(built(arch, file)).ok().map(|file| file.len() as f64);
    Figure::without_bare("binary", Unit::Bytes, size, target)
}

/// What `mem --json` said of the hypervisor's own memory, before VMs were made and after.
pub(crate) fn memory(documents: &[Value], target: Option<f64>) -> [Figure; 2] {
    [("memory without VMs", 0), ("memory with four VMs", 1)].map(|(name, index)| {
        let memory = field(documents, "hypervisor_bytes", index);
        Figure::without_bare(name, Unit::Bytes, memory, target)
    })
}
