//! A hypervisor that is made up.

use super::fake_registry::FakeRegistry;
use crate::error::Error;
use crate::host::{
    AddressOrigin, AddressSummary, AttachRequest, Attendance, BalloonInfo, ConfigSummary,
    ConsoleInfo, ConsoleRead, Count, CpuState, CpuSummary, CrashRecord, CreateRequest, Cursor,
    DeviceSummary, DiskSlotState, DiskSlotSummary, DiskUserSummary, EchoId, Host, HostDiskSummary,
    ImageSummary, JobId, JobStatus, LinkState, LogLevel, LogLine, MemorySummary, NetworkStatistics,
    NetworkSummary, PartitionSummary, PortSummary, Register, Registry, Stop, SwitchPort,
    SwitchSummary, TcpPortSummary, Urgency, VcpuInfo, VcpuState, VcpuSummary, VersionInfo, VmId,
    VmInfo, VmSettings, VmState, VmSummary,
};
use crate::session::SessionId;
use crate::terminal_size::TerminalSize;
use std::net::IpAddr;
use std::time::Duration;

/// One made-up VM.
pub(crate) struct FakeVm {
    pub(crate) summary: VmSummary,
    /// All that its console has printed.
    pub(crate) printed: Vec<u8>,
    /// How much of that is no longer kept.
    pub(crate) dropped: usize,
    /// How much more of it is gone at each read.
    pub(crate) drops_per_read: usize,
    /// What was typed on its console.
    pub(crate) typed: Vec<u8>,
    /// How many bytes it accepts before it accepts no more.
    pub(crate) appetite: usize,
    pub(crate) reason: Option<String>,
    pub(crate) crash: Option<CrashRecord>,
    pub(crate) watchers: Vec<SessionId>,
    /// Who has the keyboard.
    pub(crate) holder: Option<SessionId>,
    pub(crate) settings: VmSettings,
}

/// A job, and for how many polls it runs.
pub(crate) struct FakeJob {
    pub(crate) id: JobId,
    pub(crate) polls_left: u32,
    pub(crate) result: Result<String, Error>,
}

/// A made-up host. Orders are carried out at once, and noted.
pub(crate) struct FakeHost {
    pub(crate) vms: Vec<FakeVm>,
    pub(crate) jobs: Vec<FakeJob>,
    /// For how many polls new jobs run.
    pub(crate) job_polls: u32,
    /// What was ordered, in order.
    pub(crate) orders: Vec<String>,
    pub(crate) level: LogLevel,
    pub(crate) log: Vec<LogLine>,
    pub(crate) refuses_cancel: bool,
    pub(crate) registry: FakeRegistry,
    /// How many echoes were asked for.
    pub(crate) pings: u64,
}

impl FakeHost {
    pub(crate) fn new() -> Self {
        Self {
            vms: Vec::new(),
            jobs: Vec::new(),
            job_polls: 0,
            orders: Vec::new(),
            pings: 0,
            level: LogLevel::Info,
            log: Vec::new(),
            refuses_cancel: false,
            registry: FakeRegistry::default(),
        }
    }

    /// With two VMs: 1 is `linux` and runs, 2 is `web` and was never started.
    pub(crate) fn with_two() -> Self {
        let mut host = Self::new();
        host.add("linux", VmState::Running);
        host.add("web", VmState::Created);
        host
    }

    pub(crate) fn add(&mut self, name: &str, state: VmState) -> VmId {
        let id = VmId(self.vms.last().map_or(1, |vm| vm.summary.id.0 + 1));
        let is_up = state == VmState::Running;
        self.vms.push(FakeVm {
            summary: VmSummary {
                id,
                name: name.into(),
                state,
                vcpus: 1,
                memory_bytes: 256 << 20,
                cpu_percent: if is_up { 3 } else { 0 },
                uptime_ns: if is_up { 12_345_678_901 } else { 0 },
            },
            printed: Vec::new(),
            dropped: 0,
            drops_per_read: 0,
            typed: Vec::new(),
            appetite: usize::MAX,
            reason: None,
            crash: None,
            watchers: Vec::new(),
            holder: None,
            settings: VmSettings::default(),
        });
        id
    }

    pub(crate) fn vm(&mut self, id: u32) -> &mut FakeVm {
        self.vms.iter_mut().find(|vm| vm.summary.id == VmId(id)).unwrap()
    }

    pub(crate) fn prints(&mut self, id: u32, text: impl AsRef<[u8]>) {
        self.vm(id).printed.extend_from_slice(text.as_ref());
    }

    pub(crate) fn ends(&mut self, id: u32, state: VmState, reason: &str) {
        let vm = self.vm(id);
        vm.summary.state = state;
        vm.reason = Some(reason.into());
    }

    fn find(&self, id: VmId) -> Option<&FakeVm> {
        self.vms.iter().find(|vm| vm.summary.id == id)
    }

    fn job_of(&mut self, order: String, result: Result<String, Error>) -> JobId {
        self.orders.push(order);
        let id = JobId(self.jobs.last().map_or(1, |job| job.id.0 + 1));
        self.jobs.push(FakeJob { id, polls_left: self.job_polls, result });
        id
    }

    fn vcpu(vm: &VmSummary) -> VcpuSummary {
        VcpuSummary {
            vm_id: vm.id,
            vm_name: vm.name.clone(),
            vcpu: 0,
            state: if vm.state == VmState::Running { VcpuState::Idle } else { VcpuState::Off },
            cpu: (vm.state == VmState::Running).then_some(1),
            affinity: vec![0, 1, 3],
            weight: 100,
            cpu_time_ns: 3_214_000_000,
            exits: 1234,
        }
    }
}

/// A crash, to show.
pub(crate) fn crash() -> CrashRecord {
    CrashRecord {
        reason: "instruction fetch from 0xdead0000, where no RAM is (syndrome 0x82000006)".into(),
        time_ns: 12_345_678_901,
        vcpu: 0,
        pc: 0xdead_0000,
        instruction: None,
        registers: (0..4).map(|n| Register { name: format!("x{n}"), value: n }).collect(),
        last_exits: vec!["hvc 0x84000000".into(), "fetch 0xdead0000".into()],
    }
}

impl Host for FakeHost {
    fn vms(&self) -> Vec<VmSummary> {
        self.vms.iter().map(|vm| vm.summary.clone()).collect()
    }

    fn vm_state(&self, vm: VmId) -> Option<VmState> {
        self.find(vm).map(|vm| vm.summary.state)
    }

    fn vm_info(&self, vm: VmId) -> Result<VmInfo, Error> {
        let vm = self.find(vm).ok_or("it is gone")?;
        let exits =
            vec![Count { name: "hvc".into(), count: 34 }, Count { name: "smc".into(), count: 0 }];
        Ok(VmInfo {
            reason: vm.reason.clone(),
            config: "linux".into(),
            interrupt_controller: "GICv3".into(),
            restarts: 2,
            console_bytes: 8_808_038,
            balloon: vm.settings.memory_bytes.map(|kept| BalloonInfo {
                memory_bytes: vm.summary.memory_bytes,
                target_bytes: vm.summary.memory_bytes - kept,
                lent_bytes: 3 << 20,
                claimed_bytes: 4 << 20,
                waits_for_memory: true,
                statistics: vec![
                    Count { name: "free bytes".into(), count: 8_808_038 },
                    Count { name: "minor faults".into(), count: 17 },
                ],
            }),
            vcpu_list: vec![VcpuInfo { summary: Self::vcpu(&vm.summary), exits_by_reason: exits }],
            devices: vec![DeviceSummary {
                name: "PL011".into(),
                address: 0x900_0000,
                interrupt: Some(33),
                activity: None,
            }],
            disks: Vec::new(),
            notes: vec!["SVE is hidden".into()],
            summary: vm.summary.clone(),
        })
    }

    fn why(&self, vm: VmId) -> Result<Option<CrashRecord>, Error> {
        Ok(self.find(vm).ok_or("it is gone")?.crash.clone())
    }

    fn vm_create(&mut self, request: &CreateRequest) -> Result<JobId, Error> {
        let name = request.name.clone().unwrap_or_else(|| request.config.clone());
        if request.config == "absent" {
            return Err("no configuration 'absent': 'config list' shows linux and broken".into());
        }
        let id = self.add(&name, VmState::Created);
        let message = self.vm(id.0).summary.created();
        Ok(self.job_of(format!("create {request:?}"), Ok(message)))
    }

    fn vm_start(&mut self, vm: VmId) -> Result<JobId, Error> {
        let target = self.vm(vm.0);
        if target.summary.state == VmState::Running {
            return Err(Error::new(format!("{} is running already", target.summary.title())));
        }
        target.summary.state = VmState::Running;
        Ok(self.job_of(format!("start {vm}"), Ok(String::new())))
    }

    fn vm_stop(&mut self, vm: VmId, stop: Stop) -> Result<JobId, Error> {
        self.vm(vm.0).summary.state = VmState::Stopped;
        Ok(self.job_of(format!("stop {vm} {stop:?}"), Ok(String::new())))
    }

    fn vm_reset(&mut self, vm: VmId) -> Result<JobId, Error> {
        Ok(self.job_of(format!("reset {vm}"), Ok(String::new())))
    }

    fn vm_destroy(&mut self, vm: VmId, urgency: Urgency) -> Result<JobId, Error> {
        self.vms.retain(|other| other.summary.id != vm);
        Ok(self.job_of(format!("destroy {vm} {urgency:?}"), Ok(String::new())))
    }

    fn vm_pause(&mut self, vm: VmId) -> Result<(), Error> {
        self.vm(vm.0).summary.state = VmState::Paused;
        Ok(())
    }

    fn vm_resume(&mut self, vm: VmId) -> Result<(), Error> {
        self.vm(vm.0).summary.state = VmState::Running;
        Ok(())
    }

    fn vm_set(&mut self, vm: VmId, settings: &VmSettings) -> Result<(), Error> {
        self.vm(vm.0).settings = settings.clone();
        Ok(())
    }

    fn vm_disks(&self, vm: VmId) -> Result<Vec<DiskSlotSummary>, Error> {
        let slot = |name: &str, backing: Option<&str>, state| DiskSlotSummary {
            slot: name.into(),
            backing: backing.map(Into::into),
            size_bytes: 16 << 20,
            state,
            is_read_only: false,
            reads: 1,
            writes: 2,
            flushes: 3,
            discards: 4,
            read_bytes: 4096,
            written_bytes: 8192,
            errors: 5,
        };
        Ok(match vm {
            VmId(1) => vec![
                slot("vda", Some("partition:data1"), DiskSlotState::Attached),
                slot("vdb", None, DiskSlotState::Empty),
            ],
            _ => Vec::new(),
        })
    }

    fn vm_disk_attach(
        &mut self,
        vm: VmId,
        request: &AttachRequest,
    ) -> Result<DiskSlotSummary, Error> {
        self.orders.push(format!("attach {vm} {request:?}"));
        let backing = Some(request.backing.clone());
        let slots = self.vm_disks(VmId(1))?;
        let slot = slots.into_iter().next_back().ok_or("no slot")?;
        Ok(DiskSlotSummary { backing, state: DiskSlotState::Attached, ..slot })
    }

    fn vm_disk_detach(&mut self, vm: VmId, slot: &str) -> Result<JobId, Error> {
        Ok(self.job_of(format!("detach {vm} {slot}"), Ok(format!("{slot} detached"))))
    }

    fn job(&mut self, job: JobId) -> JobStatus {
        let job = self.jobs.iter_mut().find(|other| other.id == job).unwrap();
        match job.polls_left {
            0 => JobStatus::Done(job.result.clone()),
            left => {
                job.polls_left = left - 1;
                JobStatus::Running {
                    done_bytes: 12 << 20,
                    total_bytes: 30 << 20,
                    what: "loading linux/Image".into(),
                }
            }
        }
    }

    fn cancel(&mut self, job: JobId) -> Result<(), Error> {
        if self.refuses_cancel {
            return Err("the image is loaded by half".into());
        }
        self.orders.push(format!("cancel {}", job.0));
        Ok(())
    }

    fn console_open(
        &mut self,
        vm: VmId,
        session: SessionId,
        wish: Attendance,
    ) -> Result<ConsoleInfo, Error> {
        let vm = self.vm(vm.0);
        vm.watchers.push(session);
        match wish {
            Attendance::Watch => {}
            Attendance::Type => _ = vm.holder.get_or_insert(session),
            Attendance::Take => vm.holder = Some(session),
        }
        Ok(ConsoleInfo { end: Cursor(vm.printed.len() as u64), holder: vm.holder })
    }

    fn console_holder(&self, vm: VmId) -> Option<SessionId> {
        self.find(vm)?.holder
    }

    fn console_close(&mut self, vm: VmId, session: SessionId) {
        if let Some(vm) = self.vms.iter_mut().find(|other| other.summary.id == vm) {
            vm.watchers.retain(|&watcher| watcher != session);
            vm.holder = vm.holder.filter(|&holder| holder != session);
        }
    }

    fn console_end(&self, vm: VmId) -> Cursor {
        self.find(vm).map_or(Cursor::OLDEST, |vm| Cursor(vm.printed.len() as u64))
    }

    fn console_read(&mut self, vm: VmId, cursor: &mut Cursor, buf: &mut [u8]) -> ConsoleRead {
        let Some(vm) = self.vms.iter_mut().find(|other| other.summary.id == vm) else {
            return ConsoleRead::default();
        };
        vm.dropped = (vm.dropped + vm.drops_per_read).min(vm.printed.len());
        let from = cursor.0.max(vm.dropped as u64);
        let lost = if *cursor == Cursor::OLDEST { 0 } else { from - cursor.0 };
        let rest = &vm.printed[usize::try_from(from).unwrap()..];
        let bytes = rest.len().min(buf.len());
        buf[..bytes].copy_from_slice(&rest[..bytes]);
        *cursor = Cursor(from + bytes as u64);
        ConsoleRead { bytes, lost }
    }

    fn console_write(&mut self, vm: VmId, bytes: &[u8]) -> usize {
        let Some(vm) = self.vms.iter_mut().find(|other| other.summary.id == vm) else { return 0 };
        let accepted = bytes.len().min(vm.appetite);
        vm.appetite -= accepted;
        vm.typed.extend_from_slice(&bytes[..accepted]);
        accepted
    }

    fn console_resize(&mut self, vm: VmId, size: TerminalSize) {
        self.orders.push(format!("resize {} {}x{}", vm.0, size.columns, size.rows));
    }

    fn vcpus(&self, vm: Option<VmId>) -> Vec<VcpuSummary> {
        let wanted = self.vms.iter().filter(|other| vm.is_none_or(|vm| other.summary.id == vm));
        wanted.map(|vm| Self::vcpu(&vm.summary)).collect()
    }

    fn cpus(&self) -> Vec<CpuSummary> {
        let cpu = |id, state, running: Option<&str>| CpuSummary {
            id,
            hardware_id: id.into(),
            model: "Cortex-A57 r1p0".into(),
            state,
            busy_percent: 3,
            vcpus: 1,
            running: running.map(Into::into),
        };
        vec![
            cpu(0, CpuState::Online, None),
            cpu(1, CpuState::Online, Some("linux/0")),
            cpu(2, CpuState::Failed, None),
        ]
    }

    fn memory(&self) -> MemorySummary {
        MemorySummary {
            total_bytes: 1 << 30,
            free_bytes: (1 << 30) - (12 << 20),
            guests_bytes: 8 << 20,
            hypervisor_bytes: 4 << 20,
            image_bytes: 512 << 10,
            bundle_bytes: 512 << 10,
            heap_bytes: 2 << 20,
            heap_used_bytes: 100_000,
            tables_bytes: 768 << 10,
            stacks_bytes: 256 << 10,
        }
    }

    fn disks(&self) -> Vec<HostDiskSummary> {
        let partition = |number, label: &str, used_by: &[&str]| PartitionSummary {
            number,
            label: label.into(),
            start_bytes: 1 << 20,
            size_bytes: 16 << 20,
            kind: "0fc63daf-8483-4772-8e79-3d69d8477de4".into(),
            used_by: used_by.iter().map(|&user| user.into()).collect(),
        };
        vec![HostDiskSummary {
            name: "vda".into(),
            size_bytes: 64 << 20,
            block_bytes: 512,
            place: "virtio-mmio 0xa003e00".into(),
            serial: "QM\u{1b}[2J".into(),
            is_read_only: false,
            has_cache: true,
            interrupts: true,
            used_by: vec!["linux".into()],
            partitions: vec![partition(1, "data1", &["linux"]), partition(2, "x\u{7}y", &[])],
            users: vec![DiskUserSummary {
                name: "linux".into(),
                partition: Some(1),
                is_read_only: false,
                requests: 10,
                flushes: 2,
                read_bytes: 4096,
                written_bytes: 8192,
                errors: 1,
                late: 0,
                longest_ns: 12_345_678,
            }],
            table_note: None,
            commands: 12,
            flushes: 2,
            read_bytes: 4096,
            written_bytes: 8192,
            errors: 0,
            late: 0,
            in_flight: 1,
        }]
    }

    fn network(&self) -> NetworkSummary {
        let addresses = |origin, address: &str| AddressSummary {
            origin,
            addresses: vec![address.into()],
            gateway: None,
            server: None,
            name_servers: Vec::new(),
        };
        NetworkSummary {
            port: Some(PortSummary {
                place: "virtio-mmio 0xa003e00".into(),
                mac: "52:54:00:12:34:56".into(),
                link: LinkState::Up,
                interrupts: true,
            }),
            note: None,
            spare_cards: Vec::new(),
            ipv4: AddressSummary {
                gateway: Some("10.0.2.2".into()),
                server: Some("10.0.2.2".into()),
                name_servers: vec!["10.0.2.3".into()],
                ..addresses(AddressOrigin::Dhcp, "10.0.2.15/24")
            },
            ipv6: addresses(AddressOrigin::LinkLocal, "fe80::5054:ff:fe12:3456/64"),
        }
    }

    fn switches(&self) -> Vec<SwitchSummary> {
        let count = |name: &str, count| Count { name: name.into(), count };
        let guest = SwitchPort {
            name: "linux net0".into(),
            mac: Some("52:54:00:12:34:57".into()),
            addresses: vec!["10.9.0.1".into()],
            learnt: Vec::new(),
            sent_frames: 3,
            sent_bytes: 300,
            received_frames: 2,
            received_bytes: 200,
            dropped_frames: 1,
            dropped_bytes: 60,
            refused: vec![count("mac", 4), count("rate", 5)],
        };
        let host = SwitchPort {
            name: "host".into(),
            mac: None,
            addresses: Vec::new(),
            learnt: vec!["52:54:00:00:00:01".into()],
            refused: Vec::new(),
            ..guest.clone()
        };
        vec![SwitchSummary {
            name: "lan".into(),
            kind: "host-only",
            subnet: Some("10.9.0.0/24".into()),
            isolates: true,
            lost_frames: 0,
            ports: vec![guest, host],
        }]
    }

    fn network_statistics(&self) -> NetworkStatistics {
        NetworkStatistics {
            received_frames: 12,
            received_bytes: 3456,
            tcp: vec![TcpPortSummary {
                port: 23,
                connections: 2,
                incomplete: 1,
                limit: 24,
                accepted: 7,
                given_up: 1,
            }],
            ..NetworkStatistics::default()
        }
    }

    fn ping(&mut self, to: IpAddr) -> Result<EchoId, Error> {
        let IpAddr::V4(to) = to else { return Err("the host has no address of IPv6".into()) };
        // The last byte of the address is the number of requests that are answered.
        self.pings += 1;
        Ok(EchoId(if self.pings <= u64::from(to.octets()[3]) { 1 } else { 0 }))
    }

    fn echo(&self, id: EchoId) -> Option<Duration> {
        (id == EchoId(1)).then_some(Duration::from_micros(1500))
    }

    fn images(&self) -> Vec<ImageSummary> {
        let image = |name: &str, size_bytes, kind: &str| ImageSummary {
            name: name.into(),
            size_bytes,
            kind: kind.into(),
            source: if kind == "gzip" { "vda1 'roost' ext4".into() } else { "initrd".into() },
        };
        vec![
            image("linux/Image", 31_457_280, "Linux arm64 Image"),
            image("linux/initrd.cpio.gz", 1_048_576, "gzip"),
        ]
    }

    fn configs(&self) -> Vec<ConfigSummary> {
        let config = |name: &str, error: Option<&str>| ConfigSummary {
            name: name.into(),
            vcpus: 1,
            memory_bytes: 256 << 20,
            kernel: "linux/Image".into(),
            source: "initrd".into(),
            error: error.map(Into::into),
        };
        let broken = "broken.toml:3: memory = \"lots\": a number and a unit, such as \"256M\"";
        vec![config("broken", Some(broken)), config("linux", None), config("linux-smp", None)]
    }

    fn config_text(&self, name: &str) -> Result<String, Error> {
        match name {
            "linux" => Ok("name = \"linux\"\nvcpus = 1\n".into()),
            _ => Err(Error::new(format!("no configuration '{name}'"))),
        }
    }

    fn config_check(&mut self, name: &str) -> Result<JobId, Error> {
        self.config_text(name)?;
        let message = format!("config '{name}' is valid: 1 vCPU, 256 MiB");
        Ok(self.job_of(format!("check {name}"), Ok(message)))
    }

    fn log_level(&self) -> LogLevel {
        self.level
    }

    fn set_log_level(&mut self, level: LogLevel) {
        self.level = level;
    }

    fn log_end(&self) -> u64 {
        self.log.last().map_or(0, |line| line.sequence + 1)
    }

    fn log_lines(&self, from: u64, max: usize) -> Vec<LogLine> {
        self.log.iter().filter(|line| line.sequence >= from).take(max).cloned().collect()
    }

    fn registry(&self) -> &dyn Registry {
        &self.registry
    }

    fn registry_mut(&mut self) -> &mut dyn Registry {
        &mut self.registry
    }

    fn version(&self) -> VersionInfo {
        VersionInfo {
            version: "0.1.0".into(),
            commit: "abc1234".into(),
            architecture: "AArch64 EL2".into(),
            machine: "linux,dummy-virt".into(),
            interrupt_controller: "GICv3".into(),
            cpus: 2,
        }
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(83_456)
    }

    fn poweroff(&mut self) -> Result<(), Error> {
        self.orders.push("poweroff".into());
        Ok(())
    }

    fn reboot(&mut self) -> Result<(), Error> {
        Err("this machine cannot restart: 'poweroff' turns it off".into())
    }

    fn exit(&mut self, code: u8) -> Result<(), Error> {
        self.orders.push(format!("exit {code}"));
        Ok(())
    }
}
