//! The machine.

use crate::arch::board::Devices;
use crate::arch::console::Port;

/// More CPUs than this are not counted.
pub const MAX_CPUS: usize = 16;

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its first byte.
    pub start: usize,
    /// Its size in bytes.
    pub size: usize,
}

impl Range {
    /// The byte after the last one.
    pub const fn end(self) -> usize {
        self.start + self.size
    }
}

/// The machine.
#[derive(Debug)]
pub struct Board {
    /// RAM: its first range.
    pub ram: Range,
    /// What of it the loader, or firmware, has used.
    pub used: Option<Range>,
    /// The initrd, when there is one.
    pub initrd: Option<Range>,
    /// The console.
    pub console: Port,
    /// What else there is.
    pub devices: Devices,
    /// The command line.
    pub arguments: &'static str,
    /// How many CPUs there are.
    pub cpu_count: usize,
    /// What the architecture calls each of them.
    pub(crate) cpus: [u64; MAX_CPUS],
}

impl Board {
    /// What the architecture calls each CPU: its affinity (MPIDR), or its APIC's id.
    pub fn cpus(&self) -> &[u64] {
        self.cpus.get(..self.cpu_count).unwrap_or(&[])
    }

    /// The value of `key=value` on the command line.
    pub fn argument(&self, key: &str) -> Option<&'static str> {
        self.arguments
            .split_ascii_whitespace()
            .filter_map(|word| word.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The number given as `key=value` on the command line, or `default`.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.argument(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }
}
