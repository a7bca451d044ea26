//! The hypervisor, as the shell sees it: the shell's requests in the manager's words, and the manager's answers in the
//! shell's.

mod audience;
mod describe;
mod figures;
mod pending;
mod reach;
mod slots;
mod switches;

use crate::bundles::{Bundles, Config};
use crate::network::{Echo, Network};
use crate::people::People;
use crate::platform::Hardware;
use crate::{disks, journal, networks};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use audience::Audience;
use core::net::IpAddr;
use core::time::Duration;
use hv_core::host;
use hv_core::machine::{End, Machine};
use hv_core::time::Instant;
use log::LevelFilter;
use pending::{Pending, Wish};
use shell::error::Error;
use shell::host::{
    AttachRequest, Attendance, ConfigSummary, ConsoleInfo, ConsoleRead, CpuSummary, CrashRecord,
    CreateRequest, Cursor, DiskSlotSummary, EchoId, Host, HostDiskSummary, ImageSummary, JobId,
    JobStatus, LogLevel, LogLine, MemorySummary, NetworkStatistics, NetworkSummary, Registry, Stop,
    SwitchSummary, Urgency, VcpuSummary, VersionInfo, VmId, VmInfo, VmSettings, VmState, VmSummary,
};
use shell::session::SessionId;
use shell::terminal_size::TerminalSize;
use vm_manager::config::VmConfig;
use vm_manager::console;
use vm_manager::job;
use vm_manager::manager::Manager;
use vm_manager::vm::{self, Vm};

type HostVm = Arc<Vm<Hardware>>;

/// The shell's host.
pub(crate) struct Services {
    manager: Manager<Hardware>,
    bundles: Bundles,
    machine: Machine,
    cpu_notes: Vec<String>,
    audience: Audience,
    people: People,
    /// The session that is being polled.
    caller: SessionId,
    /// What to say when a job ends well.
    messages: BTreeMap<u64, Message>,
    /// What waits for images on a disk, by job.
    pending: BTreeMap<u64, Pending>,
    next_instant_job: u64,
    /// Disks that guests are about to lose.
    departures: Vec<slots::Departure>,
    /// Roost's own.
    network: Network,
    wanted_end: Option<End>,
    /// Who asked for that, and when.
    asker: Option<(SessionId, Instant)>,
}

enum Message {
    /// Nothing is left to do: this is the answer.
    Now(Result<String, Error>),
    /// Of a job of the manager.
    AtEnd(String),
}

/// Jobs of ours have numbers from here on; the manager's are below.
const INSTANT_JOBS: u64 = 1 << 32;

fn refused(error: vm_manager::error::Error) -> Error {
    Error::new(error.to_string())
}

fn parse(config: &Config<'_>) -> Result<VmConfig, Error> {
    VmConfig::parse(&config.file(), config.text).map_err(|error| Error::new(error.to_string()))
}

impl Services {
    pub(crate) fn new(
        manager: Manager<Hardware>,
        bundles: Bundles,
        machine: Machine,
        people: People,
        cpu_notes: Vec<String>,
        network: Network,
    ) -> Self {
        Self {
            manager,
            bundles,
            machine,
            cpu_notes,
            audience: Audience::default(),
            people,
            caller: SessionId(0),
            messages: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_instant_job: INSTANT_JOBS,
            departures: Vec::new(),
            network,
            wanted_end: None,
            asker: None,
        }
    }

    /// A slice of the manager's work, the disks' and the network's; when they want the next.
    pub(crate) fn poll(&mut self) -> Instant {
        let disks = disks::get().poll(host::now());
        let network = self.network.poll();
        let departures = self.see_off(host::now());
        let pending = self.poll_pending();
        let people = self.people.poll();
        let next = self.manager.poll().min(people).min(disks).min(network);
        next.min(departures).min(pending)
    }

    /// How the machine is to end, if it is.
    pub(crate) fn wanted_end(&self) -> Option<End> {
        self.wanted_end
    }

    /// The machine could not be ended so.
    pub(crate) fn end_failed(&mut self, end: End) {
        self.wanted_end = None;
        self.asker = None;
        log::error!("the machine cannot be ended: {end:?}");
        if let End::Exit(_) = end {
            // No emulator took the status: the next best is to switch off.
            host::end(End::Off);
        }
    }

    /// Who has asked for the end of the machine, and when.
    pub(crate) fn asker(&self) -> Option<(SessionId, Instant)> {
        self.asker
    }

    /// The session that asks for things from now on.
    pub(crate) fn set_caller(&mut self, session: SessionId) {
        self.caller = session;
    }

    /// Everybody who is here, or may come.
    pub(crate) fn people_mut(&mut self) -> &mut People {
        &mut self.people
    }

    fn end_with(&mut self, end: End) {
        self.wanted_end = Some(end);
        self.asker = Some((self.caller, host::now()));
    }

    fn vm(&self, id: VmId) -> Result<&HostVm, Error> {
        self.manager.vm(id.0).map_err(refused)
    }

    fn job_with(&mut self, id: job::JobId, message: String) -> JobId {
        self.messages.insert(id.0, Message::AtEnd(message));
        JobId(id.0)
    }

    fn new_instant_job(&mut self) -> JobId {
        let job = self.next_instant_job;
        self.next_instant_job += 1;
        JobId(job)
    }

    fn config(&self, name: &str) -> Result<Config<'_>, Error> {
        self.bundles.config(name).map_err(Error::new)
    }

    /// Begins what may have to wait for images on a disk. An error that is there at once is told at once.
    fn begin(&mut self, pending: Pending) -> Result<JobId, Error> {
        let result = self.attempt(&pending).transpose()?;
        let job = self.new_instant_job();
        match result {
            Some(message) => {
                self.messages.insert(job.0, Message::Now(Ok(message)));
            }
            None => {
                self.pending.insert(job.0, pending);
            }
        }
        Ok(job)
    }

    fn watch_counts(&mut self, vm: VmId) {
        let count = self.audience.count(vm.0);
        if let Ok(vm) = self.manager.vm(vm.0) {
            vm.sink().set_watchers(count);
        }
    }
}

impl Host for Services {
    fn vms(&self) -> Vec<VmSummary> {
        self.manager.vms().map(|vm| describe::summary(vm, &self.manager)).collect()
    }

    fn vm_state(&self, vm: VmId) -> Option<VmState> {
        self.manager.vm(vm.0).ok().map(|vm| describe::state(vm.state()))
    }

    fn vm_info(&self, vm: VmId) -> Result<VmInfo, Error> {
        Ok(describe::info(self.vm(vm)?, &self.manager))
    }

    fn why(&self, vm: VmId) -> Result<Option<CrashRecord>, Error> {
        Ok(self.vm(vm)?.crash().map(describe::crash))
    }

    fn vm_create(&mut self, request: &CreateRequest) -> Result<JobId, Error> {
        let found = self.config(&request.config)?;
        let origin = found.origin;
        let mut config = parse(&found)?;
        let name = request.name.as_deref().map(|name| ("name", name));
        let overrides = request.overrides.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in overrides.chain(name) {
            config =
                config.with_override(key, value).map_err(|error| Error::new(error.to_string()))?;
        }
        self.check_console_port(&config)?;
        self.begin(Pending::new(Wish::Create, &request.config, config, origin))
    }

    fn vm_start(&mut self, vm: VmId) -> Result<JobId, Error> {
        let job = self.manager.start(vm.0).map_err(refused)?;
        Ok(self.job_with(job, String::new()))
    }

    fn vm_stop(&mut self, vm: VmId, stop: Stop) -> Result<JobId, Error> {
        let title = self.vm(vm)?.title();
        let patience = match stop {
            Stop::Ask(patience) => Some(patience),
            Stop::Force => None,
        };
        let job = self.manager.stop(vm.0, patience).map_err(refused)?;
        Ok(self.job_with(job, format!("{title} stopped")))
    }

    fn vm_reset(&mut self, vm: VmId) -> Result<JobId, Error> {
        let title = self.vm(vm)?.title();
        let job = self.manager.reset(vm.0).map_err(refused)?;
        Ok(self.job_with(job, format!("{title} reset")))
    }

    fn vm_destroy(&mut self, vm: VmId, urgency: Urgency) -> Result<JobId, Error> {
        let target = self.vm(vm)?;
        let (title, state) = (target.title(), target.state());
        let is_live =
            matches!(state, vm::VmState::Running | vm::VmState::Paused | vm::VmState::Loading);
        if is_live && urgency == Urgency::Normal {
            return Err(Error::new(format!(
                "{title} is {state}; stop it first, or use 'vm destroy {} --force'",
                vm.0
            )));
        }
        let job = self.manager.destroy(vm.0).map_err(refused)?;
        Ok(self.job_with(job, format!("{title} destroyed")))
    }

    fn vm_pause(&mut self, vm: VmId) -> Result<(), Error> {
        self.manager.pause(vm.0).map_err(refused)
    }

    fn vm_resume(&mut self, vm: VmId) -> Result<(), Error> {
        self.manager.resume(vm.0).map_err(refused)
    }

    fn vm_set(&mut self, vm: VmId, settings: &VmSettings) -> Result<(), Error> {
        let weight = match settings.weight {
            Some(weight) => match u16::try_from(weight) {
                Ok(weight @ 1..=10_000) => Some(weight),
                _ => return Err(Error::new(format!("weight {weight}: allowed are 1 to 10000"))),
            },
            None => None,
        };
        let last = self.manager.shared().cpu_count() - 1;
        let affinity = match &settings.affinity {
            Some(cpus) => {
                let mut mask = 0;
                for &cpu in cpus {
                    if cpu as usize > last {
                        return Err(Error::new(format!("no CPU {cpu}: there are 0 to {last}")));
                    }
                    mask |= 1 << cpu;
                }
                Some(mask)
            }
            None => None,
        };
        // First what may be refused: all is applied, or nothing.
        if let Some(bytes) = settings.memory_bytes {
            self.manager.set_memory(vm.0, bytes).map_err(refused)?;
        }
        self.manager.configure(vm.0, weight, affinity).map_err(refused)
    }

    fn vm_disks(&self, vm: VmId) -> Result<Vec<DiskSlotSummary>, Error> {
        Ok(slots::summaries(self.vm(vm)?))
    }

    fn vm_disk_attach(
        &mut self,
        vm: VmId,
        request: &AttachRequest,
    ) -> Result<DiskSlotSummary, Error> {
        self.attach_disk(vm, request)
    }

    fn vm_disk_detach(&mut self, vm: VmId, slot: &str) -> Result<JobId, Error> {
        self.begin_detach(vm, slot)
    }

    fn job(&mut self, job: JobId) -> JobStatus {
        if let Some(departure) = self.departures.iter().find(|departure| departure.is_of(job)) {
            return JobStatus::Running {
                done_bytes: 0,
                total_bytes: 0,
                what: departure.what().into(),
            };
        }
        if self.pending.contains_key(&job.0) {
            let what = "reading the headers of images".into();
            return JobStatus::Running { done_bytes: 0, total_bytes: 0, what };
        }
        let message = match self.messages.get(&job.0) {
            Some(Message::Now(_)) => None,
            Some(Message::AtEnd(_)) | None => Some(self.manager.job(job::JobId(job.0))),
        };
        match message {
            Some(job::JobStatus::Running { done_bytes, total_bytes, what }) => {
                JobStatus::Running { done_bytes, total_bytes, what: what.into() }
            }
            Some(job::JobStatus::Done(Err(error))) => {
                self.messages.remove(&job.0);
                JobStatus::Done(Err(refused(error)))
            }
            Some(job::JobStatus::Done(Ok(()))) | None => {
                JobStatus::Done(match self.messages.remove(&job.0) {
                    Some(Message::AtEnd(message)) => Ok(message),
                    Some(Message::Now(result)) => result,
                    None => Ok(String::new()),
                })
            }
        }
    }

    fn cancel(&mut self, job: JobId) -> Result<(), Error> {
        if let Some(departure) = self.departures.iter_mut().find(|departure| departure.is_of(job)) {
            departure.abandon();
            return Err(Error::new("the guest knows already that its disk goes"));
        }
        self.messages.remove(&job.0);
        if self.pending.remove(&job.0).is_none() {
            self.manager.give_up(job::JobId(job.0));
        }
        Ok(())
    }

    fn console_open(
        &mut self,
        vm: VmId,
        session: SessionId,
        wish: Attendance,
    ) -> Result<ConsoleInfo, Error> {
        let end = Cursor(self.vm(vm)?.sink().output().end().position());
        self.audience.join(vm.0, session, wish);
        self.watch_counts(vm);
        Ok(ConsoleInfo { end, holder: self.audience.holder(vm.0) })
    }

    fn console_holder(&self, vm: VmId) -> Option<SessionId> {
        self.audience.holder(vm.0)
    }

    fn console_close(&mut self, vm: VmId, session: SessionId) {
        self.audience.leave(vm.0, session);
        self.watch_counts(vm);
    }

    fn console_end(&self, vm: VmId) -> Cursor {
        self.manager
            .vm(vm.0)
            .map_or(Cursor::OLDEST, |vm| Cursor(vm.sink().output().end().position()))
    }

    fn console_read(&mut self, vm: VmId, cursor: &mut Cursor, buf: &mut [u8]) -> ConsoleRead {
        let Ok(vm) = self.manager.vm(vm.0) else { return ConsoleRead::default() };
        let output = vm.sink().output();
        let mut place = if *cursor == Cursor::OLDEST {
            output.oldest_kept()
        } else {
            console::Cursor::at(cursor.0)
        };
        let console::Read { bytes, lost } = output.read(&mut place, buf);
        *cursor = Cursor(place.position());
        ConsoleRead { bytes, lost }
    }

    fn console_write(&mut self, vm: VmId, bytes: &[u8]) -> usize {
        self.manager.type_in(vm.0, bytes).unwrap_or(0)
    }

    fn console_resize(&mut self, vm: VmId, size: TerminalSize) {
        // A VM that is gone has no console to tell.
        _ = self.manager.resize_console(vm.0, size.columns, size.rows);
    }

    fn vcpus(&self, vm: Option<VmId>) -> Vec<VcpuSummary> {
        let is_wanted = |other: &&HostVm| vm.is_none_or(|vm| vm.0 == other.id());
        self.manager.vms().filter(is_wanted).flat_map(describe::vcpus).collect()
    }

    fn cpus(&self) -> Vec<CpuSummary> {
        describe::cpus(&self.manager, &self.cpu_notes)
    }

    fn memory(&self) -> MemorySummary {
        let bundle_bytes = self.machine.bundle.map_or(0, |bundle| bundle.len() as u64);
        describe::memory(&self.manager, bundle_bytes)
    }

    fn disks(&self) -> Vec<HostDiskSummary> {
        let disks = disks::get();
        disks.iter().map(|found| describe::disk(disks, found)).collect()
    }

    fn network(&self) -> NetworkSummary {
        self.network.summary()
    }

    fn switches(&self) -> Vec<SwitchSummary> {
        networks::get().iter().map(|network| switches::summary(network)).collect()
    }

    fn network_statistics(&self) -> NetworkStatistics {
        self.network.statistics()
    }

    fn ping(&mut self, to: IpAddr) -> Result<EchoId, Error> {
        self.network.ping(to).map(|sequence| EchoId(sequence.into())).map_err(Error::new)
    }

    fn echo(&self, id: EchoId) -> Option<Duration> {
        match self.network.echo(u16::try_from(id.0).ok()?) {
            Echo::Waiting => None,
            Echo::Answered(trip) => Some(trip),
        }
    }

    fn images(&self) -> Vec<ImageSummary> {
        self.bundles.images()
    }

    fn configs(&self) -> Vec<ConfigSummary> {
        let summary = |config: Config<'_>| {
            let source = self.bundles.source(config.origin);
            match VmConfig::parse(&config.file(), config.text) {
                Ok(parsed) => ConfigSummary {
                    name: config.name,
                    vcpus: parsed.vcpus.into(),
                    memory_bytes: parsed.memory_bytes,
                    kernel: parsed.boot.kernel,
                    source,
                    error: None,
                },
                Err(error) => ConfigSummary {
                    name: config.name,
                    vcpus: 0,
                    memory_bytes: 0,
                    kernel: String::new(),
                    source,
                    error: Some(error.to_string()),
                },
            }
        };
        self.bundles.configs().into_iter().map(summary).collect()
    }

    fn config_text(&self, name: &str) -> Result<String, Error> {
        let config = self.config(name)?;
        core::str::from_utf8(config.text)
            .map(String::from)
            .map_err(|_| Error::new(format!("{} is not text", config.file())))
    }

    fn config_check(&mut self, name: &str) -> Result<JobId, Error> {
        let found = self.config(name)?;
        let (config, origin) = (parse(&found)?, found.origin);
        self.begin(Pending::new(Wish::Check, name, config, origin))
    }

    fn log_level(&self) -> LogLevel {
        describe::level_of(log::max_level())
    }

    fn set_log_level(&mut self, level: LogLevel) {
        let filter = match level {
            LogLevel::Off => LevelFilter::Off,
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
            LogLevel::Trace => LevelFilter::Trace,
        };
        log::set_max_level(filter);
    }

    fn log_end(&self) -> u64 {
        journal::end()
    }

    fn log_lines(&self, from: u64, max: usize) -> Vec<LogLine> {
        journal::lines(from, max)
            .into_iter()
            .map(|line| LogLine {
                sequence: line.sequence,
                time_ns: line.at.0,
                level: describe::level_of(line.level.to_level_filter()),
                target: line.target,
                text: line.text,
            })
            .collect()
    }

    fn registry(&self) -> &dyn Registry {
        &self.people
    }

    fn registry_mut(&mut self) -> &mut dyn Registry {
        &mut self.people
    }

    fn version(&self) -> VersionInfo {
        VersionInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("ROOST_COMMIT").unwrap_or_default().into(),
            architecture: host::architecture().into(),
            machine: self.machine.model.into(),
            interrupt_controller: host::interrupt_controller().into(),
            cpus: self.manager.shared().cpu_count() as u32,
        }
    }

    fn uptime(&self) -> Duration {
        Duration::from_nanos(host::now().0)
    }

    fn poweroff(&mut self) -> Result<(), Error> {
        self.end_with(End::Off);
        Ok(())
    }

    fn reboot(&mut self) -> Result<(), Error> {
        self.end_with(End::Restart);
        Ok(())
    }

    fn exit(&mut self, code: u8) -> Result<(), Error> {
        self.end_with(End::Exit(code));
        Ok(())
    }
}
