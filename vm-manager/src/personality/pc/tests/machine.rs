//! A machine whose CPUs exit as a test says, one exit after the other.

use crate::board::Board;
use crate::bus::Reply;
use crate::config::VmConfig;
use crate::load::Request;
use crate::personality::pc::cpuid::{ExtendedState, Leaf, TscRate};
use crate::personality::pc::testing::{self, FakePcCpu, Mode};
use crate::personality::pc::{Pc, PcPlatform};
use crate::platform::Platform;
use crate::run::Stop;
use crate::shared::Shared;
use crate::slot::{ATTENTION, Core};
use crate::testing::images::FakeImages;
use crate::testing::ram::{FakeRam, Pool};
use crate::vm::Vm;
use core::ops::ControlFlow::{self, Break};
use hv_core::arch::x86_64::event::{Event, EventKind};
use hv_core::arch::x86_64::exit::{ArchExit, Direction, MemoryAccess};
use hv_core::arch::x86_64::register::{flags, general};
use hv_core::arch::x86_64::start::Start;
use hv_core::exit::{Access, Op};
use hv_core::guest::{GuestMemory, GuestPhysAddr, Space, Width};
use hv_core::machine::{HostEvent, Range};
use hv_core::ram::{Lending, RamError};
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When the VM is started.
pub(super) const START_NS: u64 = 1_000_000;
/// The time of day when the host's clock read zero.
pub(super) const EPOCH: Duration = Duration::from_secs(1_700_000_000);
/// Where test code lies.
const CODE: u64 = 0x8000;

pub(super) struct FakePc {
    pub(super) clock: Arc<AtomicU64>,
    timer: Mutex<Instant>,
    pool: Arc<Pool>,
    pub(super) timers_set: Mutex<Vec<Instant>>,
    /// What the vCPUs do, by number.
    pub(super) scripts: Mutex<Vec<Option<testing::Script>>>,
}

impl FakePc {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(AtomicU64::new(START_NS)),
            timer: Mutex::new(Instant::NEVER),
            pool: Pool::new(64 << 20),
            timers_set: Mutex::default(),
            scripts: Mutex::default(),
        }
    }
}

impl Platform for FakePc {
    type Cpu = FakePcCpu;
    type Ram = FakeRam;
    type Board = Pc<Self>;

    fn now(&self) -> Instant {
        Instant(self.clock.load(Ordering::SeqCst))
    }

    fn cpu_index(&self) -> usize {
        0
    }

    fn kick(&self, _: usize) {}

    fn sleep(&self) {
        let timer = *self.timer.lock().unwrap();
        assert_ne!(timer, Instant::NEVER, "it sleeps for ever");
        self.clock.fetch_max(timer.0, Ordering::SeqCst);
    }

    fn pause(&self) {}

    fn set_timer(&self, deadline: Instant) {
        *self.timer.lock().unwrap() = deadline;
        self.timers_set.lock().unwrap().push(deadline);
    }

    fn next_event(&self) -> Option<HostEvent> {
        let mut timer = self.timer.lock().unwrap();
        if *timer > self.now() {
            return None;
        }
        *timer = Instant::NEVER;
        Some(HostEvent::Timer)
    }

    fn hear_disks(&self) -> Instant {
        Instant::NEVER
    }

    fn deactivate_guest_timer(&self) {}

    fn new_ram(&self, parts: &[Range], _: Lending) -> Result<FakeRam, RamError> {
        let [part] = parts else { panic!("guests of tests have one part of RAM") };
        FakeRam::new(&self.pool, GuestPhysAddr(part.start), part.len())
    }

    fn seed(&self) -> [u64; 4] {
        [0; 4]
    }

    fn available(&self) -> u64 {
        self.pool.free()
    }
}

impl PcPlatform for FakePc {
    fn new_cpu(&self, index: u8, _: &FakeRam) -> Option<FakePcCpu> {
        let mut cpu = FakePcCpu::new(Mode::Bits16);
        cpu.clock = Arc::clone(&self.clock);
        cpu.is_loaded = false;
        let mut scripts = self.scripts.lock().unwrap();
        cpu.script = scripts.get_mut(usize::from(index)).and_then(Option::take);
        Some(cpu)
    }

    fn host_cpuid(&self, leaf: u32, subleaf: u32) -> Leaf {
        testing::host_cpuid(leaf, subleaf)
    }

    fn tsc_hz(&self) -> u64 {
        1_000_000_000
    }

    fn tsc_rate(&self) -> TscRate {
        TscRate::Invariant
    }

    fn extended_state(&self) -> ExtendedState {
        ExtendedState::Offered
    }
}

pub(super) struct Machine {
    pub(super) vm: Arc<Vm<FakePc>>,
    pub(super) shared: Arc<Shared<FakePc>>,
    pub(super) cores: Vec<Option<Box<Core<FakePc>>>>,
    /// How vCPUs have stopped.
    pub(super) stops: Vec<(usize, Stop)>,
}

pub(super) fn config(settings: &[(&str, &str)]) -> VmConfig {
    let text = b"name = \"pc\"\nmemory = \"4M\"\n[boot]\nkernel = \"k\"\nformat = \"flat\"\n";
    let config = VmConfig::parse("pc.toml", text).unwrap();
    settings.iter().fold(config, |config, (key, value)| config.with_override(key, value).unwrap())
}

pub(super) fn images() -> FakeImages {
    let mut images = FakeImages::default();
    images.add("k", vec![0xf4; 512]);
    images
}

pub(super) fn request(config: &VmConfig) -> Request {
    Request::new(config, &Pc::<FakePc>::ram(config.memory_bytes), &images()).unwrap()
}

impl Machine {
    /// With so many vCPUs, the first of which runs in flat protected mode with interrupts on.
    pub(super) fn new(vcpus: usize) -> Self {
        let mut machine = Self::off(vcpus);
        machine.start();
        machine
    }

    fn off(vcpus: usize) -> Self {
        let shared = Shared::new(FakePc::new(), 1);
        let config = config(&[("vcpus", &vcpus.to_string())]);
        let request = request(&config);
        let vm = Vm::new(
            1,
            config,
            request,
            &crate::testing::images::FakeImages::default(),
            &shared,
            EPOCH,
        )
        .ok()
        .unwrap();
        Self { vm, shared, cores: (0..vcpus).map(|_| None).collect(), stops: Vec::new() }
    }

    /// Starts the VM as its manager does.
    pub(super) fn start(&mut self) {
        for (slot, core) in self.vm.slots().iter().zip(&mut self.cores) {
            if let Some(mut core) = core.take() {
                core.cpu.put();
                slot.bring_home(core);
            }
        }
        self.vm.switch_off();
        self.vm.board().reset();
        self.vm.start(Start::Real { segment: 0, offset: 0x7c00 }, self.now());
        self.look();
        self.flatten(0);
    }

    /// Has a vCPU run in flat protected mode with interrupts on.
    pub(super) fn flatten(&mut self, vcpu: usize) {
        let cpu = self.cpu(vcpu);
        cpu.set_mode(Mode::Bits32);
        cpu.rflags |= flags::IF;
    }

    pub(super) fn now(&self) -> Instant {
        self.shared.platform().now()
    }

    pub(super) fn core(&mut self, vcpu: usize) -> &mut Core<FakePc> {
        self.cores[vcpu].as_mut().expect("it runs")
    }

    pub(super) fn cpu(&mut self, vcpu: usize) -> &mut FakePcCpu {
        &mut self.core(vcpu).cpu
    }

    /// The vCPUs look at what others have for them, as their loops would have them do.
    pub(super) fn look(&mut self) {
        let vm = Arc::clone(&self.vm);
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for (index, slot) in vm.slots().iter().enumerate() {
                if let Some(start) = slot.take_start() {
                    self.load(index, start);
                    is_quiet = false;
                }
                let Some(core) = self.cores[index].as_mut() else { continue };
                if slot.events() & ATTENTION == 0 {
                    continue;
                }
                slot.clear(ATTENTION);
                is_quiet = false;
                if let Break(stop) = vm.board().attend(core) {
                    self.stops.push((index, stop));
                }
            }
        }
    }

    fn load(&mut self, vcpu: usize, start: Start) {
        let vm = Arc::clone(&self.vm);
        let slot = &vm.slots()[vcpu];
        if self.cores[vcpu].is_none() {
            self.cores[vcpu] = slot.take_home();
        }
        let core = self.core(vcpu);
        core.cpu.reset(start);
        vm.board().restarted(core);
        core.cpu.load(vm.behind(Instant(0)));
        vm.board().loaded(core);
        slot.ask(ATTENTION);
    }

    /// All time passes at once.
    pub(super) fn pass(&mut self, ns: u64) {
        self.shared.platform().clock.fetch_add(ns, Ordering::SeqCst);
        let vm = Arc::clone(&self.vm);
        for core in self.cores.iter_mut().flatten() {
            vm.board().tick(core);
        }
        self.look();
    }

    pub(super) fn handle(&mut self, vcpu: usize, exit: ArchExit) -> ControlFlow<Stop> {
        let vm = Arc::clone(&self.vm);
        let flow = vm.board().handle(&exit, self.core(vcpu), &vm);
        if let Break(stop) = flow {
            self.stops.push((vcpu, stop));
        }
        self.look();
        flow
    }

    /// Takes what was injected into a vCPU.
    pub(super) fn taken(&mut self, vcpu: usize) -> Option<Event> {
        self.cpu(vcpu).pending.take()
    }

    /// Takes the vector of an interrupt, having the CPU exit for the window that the machine asked for.
    pub(super) fn interrupt(&mut self, vcpu: usize) -> Option<u8> {
        use crate::personality::pc::cpu::Window;
        let cpu = self.cpu(vcpu);
        if cpu.pending.is_none()
            && cpu.window == Window::Interrupt
            && cpu.rflags & flags::IF != 0
            && !cpu.shadow
        {
            let _ = self.handle(vcpu, ArchExit::InterruptWindow);
        }
        let event = self.taken(vcpu)?;
        assert_eq!(event.kind, EventKind::Interrupt);
        Some(event.vector)
    }

    /// Whether the last instruction has raised #GP(0).
    pub(super) fn is_refused(&mut self, vcpu: usize) -> bool {
        match self.taken(vcpu) {
            Some(Event::PROTECTION) => true,
            None => false,
            Some(other) => panic!("{other:?}"),
        }
    }

    pub(super) fn port(&mut self, vcpu: usize, port: u16, width: Width, op: Op) -> Reply {
        let vm = Arc::clone(&self.vm);
        let shared = Arc::clone(&self.shared);
        let addr = GuestPhysAddr(port.into());
        let access = Access { space: Space::Port, addr, width, op };
        let reply = vm.board().access(access, self.core(vcpu), shared.platform());
        self.look();
        reply
    }

    pub(super) fn out(&mut self, vcpu: usize, port: u16, value: u8) {
        let reply = self.port(vcpu, port, Width::B1, Op::Write(value.into()));
        assert_eq!(reply, Reply::Done);
    }

    pub(super) fn input(&mut self, vcpu: usize, port: u16) -> u8 {
        match self.port(vcpu, port, Width::B1, Op::Read) {
            Reply::Value(value) => value as u8,
            other @ (Reply::Done | Reply::NoDevice | Reply::Ends(_)) => panic!("{other:?}"),
        }
    }

    /// WRMSR; says whether it was refused.
    pub(super) fn wrmsr(&mut self, vcpu: usize, index: u32, value: u64) -> Result<(), ()> {
        let before = (self.cpu(vcpu).rip, self.cpu(vcpu).pending);
        let _ = self.handle(vcpu, ArchExit::WriteMsr { index, value });
        let cpu = self.cpu(vcpu);
        if cpu.rip == before.0 {
            assert_eq!(cpu.pending.take(), Some(Event::PROTECTION));
            return Err(());
        }
        Ok(())
    }

    pub(super) fn rdmsr(&mut self, vcpu: usize, index: u32) -> Result<u64, ()> {
        let before = self.cpu(vcpu).rip;
        let _ = self.handle(vcpu, ArchExit::ReadMsr(index));
        let cpu = self.cpu(vcpu);
        if cpu.rip == before {
            assert_eq!(cpu.pending.take(), Some(Event::PROTECTION));
            return Err(());
        }
        let half = |index: u8| cpu.general[usize::from(index)];
        Ok(half(general::RAX) | half(general::RDX) << 32)
    }

    /// `mov [eax], ebx`.
    pub(super) fn store(&mut self, vcpu: usize, addr: u64, value: u32) {
        self.instruction(vcpu, [0x89, 0x18], addr, value.into());
        self.memory(vcpu, addr, Direction::Write);
    }

    /// `mov ebx, [eax]`.
    pub(super) fn fetch(&mut self, vcpu: usize, addr: u64) -> u32 {
        self.instruction(vcpu, [0x8b, 0x18], addr, 0);
        self.memory(vcpu, addr, Direction::Read);
        self.cpu(vcpu).general[usize::from(general::RBX)] as u32
    }

    fn instruction(&mut self, vcpu: usize, code: [u8; 2], rax: u64, rbx: u64) {
        self.vm.ram().write(GuestPhysAddr(CODE), &code).unwrap();
        let cpu = self.cpu(vcpu);
        cpu.rip = CODE;
        cpu.general[usize::from(general::RAX)] = rax;
        cpu.general[usize::from(general::RBX)] = rbx;
    }

    fn memory(&mut self, vcpu: usize, addr: u64, direction: Direction) {
        let access = MemoryAccess { addr: GuestPhysAddr(addr), linear: None, direction };
        let _ = self.handle(vcpu, ArchExit::Memory(access));
        assert_eq!(self.cpu(vcpu).rip, CODE + 2);
    }

    /// Puts all running vCPUs' local APICs into x2APIC mode, and enables them.
    pub(super) fn x2apic(&mut self, vcpu: usize) {
        let base = self.rdmsr(vcpu, 0x1b).unwrap();
        self.wrmsr(vcpu, 0x1b, base | 1 << 10).unwrap();
        self.wrmsr(vcpu, 0x80f, 0x1ff).unwrap();
    }
}
