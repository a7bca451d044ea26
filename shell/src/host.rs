//! What the shell asks of the hypervisor. The binary implements [`Host`]; the shell knows nothing
//! else of what is below it.
//!
//! Snapshots are plain data. Their fields are named with their units, because these names are
//! also the names of the fields in the JSON answers: they are an interface, and stay.

mod console;
mod disk;
mod job;
mod machine;
mod network;
mod registry;
mod switch;
mod vm;

pub use console::{Attendance, ConsoleInfo, ConsoleRead, Cursor};
pub use disk::{
    AttachRequest, DiskSlotState, DiskSlotSummary, DiskUserSummary, HostDiskSummary,
    PartitionSummary,
};
pub use job::{JobId, JobStatus};
pub use machine::{
    ConfigSummary, CpuState, CpuSummary, ImageSummary, LogLevel, LogLine, MemorySummary,
    VersionInfo,
};
pub use network::{
    AddressOrigin, AddressSummary, EchoId, LinkState, NatSummary, NetworkStatistics,
    NetworkSummary, PortSummary, TcpPortSummary,
};
pub use registry::{AuditLine, AuditTrail, Note, PasswordChange, Registry, SessionSummary};
pub use switch::{SwitchPort, SwitchSummary};
pub use vm::{
    BalloonInfo, Count, CrashRecord, CreateRequest, DeviceActivity, DeviceSummary, Register, Stop,
    Urgency, VcpuInfo, VcpuState, VcpuSummary, VmId, VmInfo, VmSettings, VmState, VmSummary,
};

use crate::error::Error;
use crate::session::SessionId;
use crate::terminal_size::TerminalSize;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// The hypervisor, as the shell sees it. No method blocks: what takes time is a job.
///
/// The shell resolves names to ids by [`Host::vms`], so a [`VmId`] that it passes existed a moment
/// ago. A command is applied wholly or not at all, and an error leaves everything as it was.
///
/// # Errors
///
/// Every `Result` here fails with a sentence that is printed after `error: ` as it is, so it names
/// the VM or file, what was found and what would be right.
pub trait Host {
    /// All VMs, in the order of their ids.
    fn vms(&self) -> Vec<VmSummary>;
    /// The state of one VM; `None` if it does not exist. Polled often, so it must be cheap.
    fn vm_state(&self, vm: VmId) -> Option<VmState>;
    /// Everything about one VM.
    fn vm_info(&self, vm: VmId) -> Result<VmInfo, Error>;
    /// The record of the VM's last crash, if it ever crashed.
    fn why(&self, vm: VmId) -> Result<Option<CrashRecord>, Error>;

    /// Begins to create a VM from a configuration. The job's message is printed:
    /// [`VmSummary::created`] words it.
    fn vm_create(&mut self, request: &CreateRequest) -> Result<JobId, Error>;
    /// Begins to start a VM that is created.
    fn vm_start(&mut self, vm: VmId) -> Result<JobId, Error>;
    /// Begins to stop a VM.
    fn vm_stop(&mut self, vm: VmId, stop: Stop) -> Result<JobId, Error>;
    /// Begins to reset a VM: image reloaded, RAM zeroed, devices reset, and started again if it ran.
    fn vm_reset(&mut self, vm: VmId) -> Result<JobId, Error>;
    /// Begins to destroy a VM and to return all that it holds.
    fn vm_destroy(&mut self, vm: VmId, urgency: Urgency) -> Result<JobId, Error>;
    /// Stops a VM's clocks and CPUs, at once.
    fn vm_pause(&mut self, vm: VmId) -> Result<(), Error>;
    /// Undoes [`Host::vm_pause`].
    fn vm_resume(&mut self, vm: VmId) -> Result<(), Error>;
    /// Changes settings of a VM, which may be running.
    fn vm_set(&mut self, vm: VmId, settings: &VmSettings) -> Result<(), Error>;

    /// The slots for disks of a VM.
    fn vm_disks(&self, vm: VmId) -> Result<Vec<DiskSlotSummary>, Error>;
    /// Puts a disk into a slot of a VM, which may be running; answers with that slot.
    fn vm_disk_attach(
        &mut self,
        vm: VmId,
        request: &AttachRequest,
    ) -> Result<DiskSlotSummary, Error>;
    /// Begins to take a disk out of a slot of a VM, which may be running. The job's message is printed.
    fn vm_disk_detach(&mut self, vm: VmId, slot: &str) -> Result<JobId, Error>;

    /// How far a job is. After it has answered [`JobStatus::Done`] once, the host may forget it.
    fn job(&mut self, job: JobId) -> JobStatus;
    /// Gives up a job, undoing what it did. An error says why it goes on regardless.
    fn cancel(&mut self, job: JobId) -> Result<(), Error>;

    /// Joins the watchers of a VM's console. One of those who want to type has the keyboard: the first, unless another one
    /// takes it.
    fn console_open(
        &mut self,
        vm: VmId,
        session: SessionId,
        wish: Attendance,
    ) -> Result<ConsoleInfo, Error>;
    /// Who has the keyboard of a VM's console. Polled often, so it must be cheap.
    fn console_holder(&self, vm: VmId) -> Option<SessionId>;
    /// Leaves the watchers of a VM's console; if it had the keyboard, the next who wants to type has it. The VM may have been
    /// destroyed since.
    fn console_close(&mut self, vm: VmId, session: SessionId);
    /// The end of a VM's console output at this moment.
    fn console_end(&self, vm: VmId) -> Cursor;
    /// Copies console output from `cursor` on into `buf`, and moves the cursor past what it
    /// answers. A cursor that is older than the oldest kept byte is moved there first, which
    /// counts as loss unless it is [`Cursor::OLDEST`].
    fn console_read(&mut self, vm: VmId, cursor: &mut Cursor, buf: &mut [u8]) -> ConsoleRead;
    /// Types on a VM's console. Answers how many bytes the guest's device accepted; the caller
    /// keeps the rest.
    fn console_write(&mut self, vm: VmId, bytes: &[u8]) -> usize;
    /// Whoever types on a VM's console has a terminal of this size.
    fn console_resize(&mut self, vm: VmId, size: TerminalSize);

    /// All vCPUs, or those of one VM.
    fn vcpus(&self, vm: Option<VmId>) -> Vec<VcpuSummary>;
    /// All physical CPUs, also those that failed to start.
    fn cpus(&self) -> Vec<CpuSummary>;
    /// Where the memory is.
    fn memory(&self) -> MemorySummary;
    /// The disks of the host.
    fn disks(&self) -> Vec<HostDiskSummary>;
    /// The host's own network.
    fn network(&self) -> NetworkSummary;
    /// What it has counted.
    fn network_statistics(&self) -> NetworkStatistics;
    /// The networks of guests.
    fn switches(&self) -> Vec<SwitchSummary>;
    /// Asks an address for an echo. An error says why nobody can be asked.
    fn ping(&mut self, to: IpAddr) -> Result<EchoId, Error>;
    /// How long the answer to a request took, if it has come.
    fn echo(&self, id: EchoId) -> Option<Duration>;
    /// The images of the bundles.
    fn images(&self) -> Vec<ImageSummary>;
    /// The VM configurations of the bundles, also those that are not valid.
    fn configs(&self) -> Vec<ConfigSummary>;
    /// The text of a configuration.
    fn config_text(&self, name: &str) -> Result<String, Error>;
    /// Begins to validate a configuration, without creating anything. The job's message is printed: it says what would be
    /// made.
    fn config_check(&mut self, name: &str) -> Result<JobId, Error>;

    /// The least severe level that Roost's log keeps.
    fn log_level(&self) -> LogLevel;
    /// Changes it.
    fn set_log_level(&mut self, level: LogLevel);
    /// The number that the next line of Roost's log will have.
    fn log_end(&self) -> u64;
    /// Up to `max` lines of Roost's log whose sequence number is at least `from`, oldest first.
    fn log_lines(&self, from: u64, max: usize) -> Vec<LogLine>;

    /// What the host knows of users and sessions.
    fn registry(&self) -> &dyn Registry;
    /// The same, to change it.
    fn registry_mut(&mut self) -> &mut dyn Registry;

    /// What this is, and on what it runs.
    fn version(&self) -> VersionInfo;
    /// Time since power-on.
    fn uptime(&self) -> Duration;
    /// Turns the machine off. On success it goes off soon; all output of the session is drained.
    fn poweroff(&mut self) -> Result<(), Error>;
    /// Restarts the machine, likewise.
    fn reboot(&mut self) -> Result<(), Error>;
    /// Ends the emulator with an exit status, likewise.
    fn exit(&mut self, code: u8) -> Result<(), Error>;
}
