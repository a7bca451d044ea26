//! Virtual machines, as the shell shows and orders them.

use super::disk::DiskSlotSummary;
use crate::amount;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Serialize, Serializer};

/// Names one VM. Ids are not used again while Roost runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct VmId(pub u32);

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a VM is in its lifecycle.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// Made, and never started.
    Created,
    /// Its images are being loaded.
    Loading,
    /// Its vCPUs run.
    Running,
    /// Its vCPUs and clocks stand still.
    Paused,
    /// It turned itself off, or was stopped.
    Stopped,
    /// It did what no VM may do.
    Crashed,
}

impl VmState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Loading, Self::Running, Self::Paused, Self::Stopped, Self::Crashed];

    /// The name that is shown, and by which a user gives it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Loading => "loading",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Crashed => "crashed",
        }
    }

    /// Whether a VM in this state prints no more until somebody resets it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Crashed)
    }
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One VM, in a listing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VmSummary {
    /// Its id.
    pub id: VmId,
    /// Its name, which no other VM has.
    pub name: String,
    /// Where it is in its lifecycle.
    pub state: VmState,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Its RAM, without what it has lent.
    pub memory_bytes: u64,
    /// CPU time that it uses lately; 100 is one whole CPU.
    pub cpu_percent: u32,
    /// How long it has been up since its last start; zero when it is not.
    pub uptime_ns: u64,
}

impl VmSummary {
    /// The VM as messages name it: `vm 1 'linux'`.
    #[must_use]
    pub fn title(&self) -> String {
        alloc::format!("vm {} '{}'", self.id, self.name)
    }

    /// What is printed when it was created: `vm 1 'linux' created: 1 vCPU, 256 MiB`.
    #[must_use]
    pub fn created(&self) -> String {
        alloc::format!(
            "{} created: {}, {}",
            self.title(),
            amount::counted(self.vcpus.into(), "vCPU"),
            amount::Bytes(self.memory_bytes)
        )
    }
}

/// A name and how often it was counted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Count {
    /// What was counted.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// What a vCPU does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VcpuState {
    /// The guest has not turned it on.
    Off,
    /// It waits for a CPU.
    Ready,
    /// It runs on a CPU.
    Running,
    /// It waits for an interrupt.
    Idle,
    /// Its VM is paused, stopped or crashed.
    Halted,
}

impl fmt::Display for VcpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Off => "off",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Halted => "halted",
        })
    }
}

/// One vCPU, in a listing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VcpuSummary {
    /// Its VM.
    pub vm_id: VmId,
    /// Its VM's name.
    pub vm_name: String,
    /// Its number in the VM, from 0.
    pub vcpu: u32,
    /// What it does.
    pub state: VcpuState,
    /// The CPU on which it runs or ran last.
    pub cpu: Option<u32>,
    /// The CPUs on which it may run, in order.
    pub affinity: Vec<u32>,
    /// Its share when vCPUs compete, relative to theirs.
    pub weight: u32,
    /// CPU time that it has used.
    pub cpu_time_ns: u64,
    /// How often it left the guest.
    pub exits: u64,
}

/// One vCPU, in detail.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VcpuInfo {
    /// What the listing shows.
    #[serde(flatten)]
    pub summary: VcpuSummary,
    /// Why it left the guest, by reason.
    pub exits_by_reason: Vec<Count>,
}

/// One device of a VM.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeviceSummary {
    /// What it is, such as `PL011`.
    pub name: String,
    /// Where its registers begin.
    #[serde(serialize_with = "as_hex")]
    pub address: u64,
    /// Its interrupt, as the guest numbers it.
    pub interrupt: Option<u32>,
    /// What it has done, if it counts that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<DeviceActivity>,
}

/// What a device of a VM has done since that was created.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DeviceActivity {
    /// How often the guest notified it.
    pub notifications: u64,
    /// How often it interrupted the guest.
    pub interrupts: u64,
    /// What the guest did wrong with it.
    pub faults: Vec<Count>,
}

/// Everything about one VM.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct VmInfo {
    /// What the listing shows.
    #[serde(flatten)]
    pub summary: VmSummary,
    /// Why it is stopped or crashed, such as `the guest turned itself off`.
    pub reason: Option<String>,
    /// The configuration it was created from.
    pub config: String,
    /// Its interrupt controller, such as `GICv3`.
    pub interrupt_controller: String,
    /// How often it was started again, by itself or by a user.
    pub restarts: u32,
    /// Bytes that its console has printed since it was created.
    pub console_bytes: u64,
    /// What it lends of its memory, if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<BalloonInfo>,
    /// Its vCPUs.
    pub vcpu_list: Vec<VcpuInfo>,
    /// Its devices, by address.
    pub devices: Vec<DeviceSummary>,
    /// Its slots for disks.
    pub disks: Vec<DiskSlotSummary>,
    /// What an operator should know besides.
    pub notes: Vec<String>,
}

/// What a VM lends of its memory.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct BalloonInfo {
    /// What it was created with.
    pub memory_bytes: u64,
    /// What it shall lend of that.
    pub target_bytes: u64,
    /// What it lends.
    pub lent_bytes: u64,
    /// What its guest says that it lends.
    pub claimed_bytes: u64,
    /// Whether it wants something back that there is no memory for.
    pub waits_for_memory: bool,
    /// What its guest said last of its memory: bytes, and page faults.
    pub statistics: Vec<Count>,
}

/// A register and its value.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Register {
    /// Its name in the manual.
    pub name: String,
    /// Its value.
    #[serde(serialize_with = "as_hex")]
    pub value: u64,
}

/// What a VM's crash left behind.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CrashRecord {
    /// What happened.
    pub reason: String,
    /// When, since power-on.
    pub time_ns: u64,
    /// The vCPU that did it.
    pub vcpu: u32,
    /// Where it was.
    #[serde(serialize_with = "as_hex")]
    pub pc: u64,
    /// The instruction there, if it could be read.
    #[serde(serialize_with = "as_optional_hex")]
    pub instruction: Option<u32>,
    /// Its registers.
    pub registers: Vec<Register>,
    /// Its last exits, the last one last.
    pub last_exits: Vec<String>,
}

/// What `vm create` asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CreateRequest {
    /// The name of the configuration.
    pub config: String,
    /// The VM's name, if it is not to be the configuration's.
    pub name: Option<String>,
    /// Keys of the configuration and the values that replace theirs, as typed.
    pub overrides: Vec<(String, String)>,
}

/// How a VM is stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// The guest is asked, and has this long.
    Ask(Duration),
    /// The guest is not asked.
    Force,
}

/// Whether a VM that runs may be destroyed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// It may not.
    Normal,
    /// It may.
    Force,
}

/// What `vm set` changes; `None` stays as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct VmSettings {
    /// The weight of each of its vCPUs, 1 to 10,000.
    pub weight: Option<u32>,
    /// The CPUs on which its vCPUs may run, in order and without duplicates.
    pub affinity: Option<Vec<u32>>,
    /// How much memory its guest shall keep, in bytes; it lends the rest.
    pub memory_bytes: Option<u64>,
}

/// Addresses and registers are text in JSON: its numbers lose bits beyond 53.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}

#[expect(clippy::ref_option, reason = "serde passes references")]
fn as_optional_hex<S: Serializer>(value: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(&format_args!("{value:#010x}")),
        None => serializer.serialize_none(),
    }
}
