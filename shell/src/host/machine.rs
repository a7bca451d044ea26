//! The physical machine, and what is in the bundles.

use crate::error::Error;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// Whether a physical CPU runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CpuState {
    /// It runs the CPU loop.
    Online,
    /// It did not start, and is left out.
    Failed,
}

impl fmt::Display for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Failed => "failed",
        })
    }
}

/// One physical CPU.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CpuSummary {
    /// Roost's number for it, from 0.
    pub id: u32,
    /// The hardware's number for it: MPIDR, APIC id.
    pub hardware_id: u64,
    /// What it is, such as `Cortex-A57 r1p0`.
    pub model: String,
    /// Whether it runs.
    pub state: CpuState,
    /// How much of its time went to guests and to Roost, lately.
    pub busy_percent: u32,
    /// vCPUs that may run here.
    pub vcpus: u32,
    /// The vCPU that runs at this moment, such as `linux/0`.
    pub running: Option<String>,
}

/// Where the memory is. The parts of the hypervisor add up to `hypervisor_bytes`, and it, the
/// guests' and the free bytes add up to the total.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct MemorySummary {
    /// All RAM of the machine that Roost may use.
    pub total_bytes: u64,
    /// RAM that nobody has.
    pub free_bytes: u64,
    /// RAM of guests.
    pub guests_bytes: u64,
    /// RAM that Roost itself has.
    pub hypervisor_bytes: u64,
    /// Of it: code and data.
    pub image_bytes: u64,
    /// Of it: the bundle that the boot loader brought.
    pub bundle_bytes: u64,
    /// Of it: the heap.
    pub heap_bytes: u64,
    /// Of the heap: what is allocated.
    pub heap_used_bytes: u64,
    /// Of it: translation tables.
    pub tables_bytes: u64,
    /// Of it: stacks.
    pub stacks_bytes: u64,
}

/// One image of a bundle.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ImageSummary {
    /// Its path, such as `linux/Image`.
    pub name: String,
    /// Its size in the bundle.
    pub size_bytes: u64,
    /// What it was recognized as, such as `Linux arm64 Image`.
    pub kind: String,
    /// Where it is: `initrd`, or a partition such as `vda1 'roost' ext4`.
    pub source: String,
}

/// One VM configuration of a bundle.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ConfigSummary {
    /// Its name, without `.toml`.
    pub name: String,
    /// vCPUs that it asks for.
    pub vcpus: u32,
    /// RAM that it asks for.
    pub memory_bytes: u64,
    /// The kernel that it boots.
    pub kernel: String,
    /// Where it is, as of an image.
    pub source: String,
    /// Why it is not valid, if it is not.
    pub error: Option<String>,
}

/// How severe a line of Roost's log is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing is logged.
    Off,
    /// What failed.
    Error,
    /// What is suspicious.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// All levels, from the fewest lines to the most.
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The name by which a user gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level of this name.
    ///
    /// # Errors
    ///
    /// There is none; the message lists them.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|level| level.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|level| level.name()).collect();
            Error::new(alloc::format!("no log level '{name}': one of {}", names.join(", ")))
        })
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One line of Roost's log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LogLine {
    /// Its number, counted from power-on.
    pub sequence: u64,
    /// When, since power-on.
    pub time_ns: u64,
    /// How severe.
    pub level: LogLevel,
    /// Which part of Roost.
    pub target: String,
    /// What it says.
    pub text: String,
}

/// What this is, and on what it runs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VersionInfo {
    /// Roost's version, such as `0.1.0`.
    pub version: String,
    /// The commit it was built from; empty if unknown.
    pub commit: String,
    /// The architecture and how it is virtualized, such as `AArch64 EL2`.
    pub architecture: String,
    /// The machine, as it calls itself.
    pub machine: String,
    /// Its interrupt controller, such as `GICv3`.
    pub interrupt_controller: String,
    /// CPUs that run.
    pub cpus: u32,
}
