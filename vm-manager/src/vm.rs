//! One VM: its parts, and where it is in its life.

use crate::board::{Board, Parts};
use crate::config::{ConsoleKind, TimeOnPause, VmConfig};
use crate::crash::CrashRecord;
use crate::error::Error;
use crate::load::{Images, Request};
use crate::platform::{Platform, Ram};
use crate::plug::disk::DiskSlot;
use crate::plug::{Balloon, Order, Recall};
use crate::sched::{TaskId, TaskState};
use crate::shared::{RESCHEDULE, Shared};
use crate::sink::{Bell, ConsoleSink};
use crate::slot::{ATTENTION, Core, EVICT, STOP, Start, VcpuSlot};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use hv_core::guest::{GuestMemory, GuestPhysAddr};
use hv_core::ram::{Lending, RamError};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// What a serial port that is not shown sends goes round in this.
const UNSEEN_RING_BYTES: usize = 1 << 10;

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VmState {
    /// Made, and not started yet.
    Created,
    /// Its images are being loaded.
    Loading,
    /// Its vCPUs run.
    Running,
    /// Its vCPUs and its time stand still.
    Paused,
    /// It was switched off, by itself or by an operator.
    Stopped,
    /// It did something that it cannot go on from.
    Crashed,
}

/// What can happen to a VM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VmEvent {
    /// An operator, or a restart, begins to load it.
    Load,
    /// Loading did not succeed.
    LoadFailed,
    /// Its images are loaded.
    Loaded,
    /// An operator stops its vCPUs and time.
    Pause,
    /// An operator lets them go on.
    Resume,
    /// It is switched off.
    PowerOff,
    /// It cannot go on.
    Crash,
}

impl VmState {
    /// The only way from state to state; `None` for what cannot happen there.
    #[must_use]
    pub fn after(self, event: VmEvent) -> Option<Self> {
        use VmEvent as E;
        match (self, event) {
            (
                Self::Created | Self::Running | Self::Paused | Self::Stopped | Self::Crashed,
                E::Load,
            ) => Some(Self::Loading),
            (Self::Loading, E::Loaded) | (Self::Paused, E::Resume) => Some(Self::Running),
            (Self::Running, E::Pause) => Some(Self::Paused),
            (Self::Loading, E::LoadFailed) => Some(Self::Stopped),
            (Self::Loading | Self::Running | Self::Paused | Self::Crashed, E::PowerOff) => {
                Some(Self::Stopped)
            }
            // Paused: the crash came first, and was told of later.
            (Self::Running | Self::Paused, E::Crash) => Some(Self::Crashed),
            _ => None,
        }
    }

    /// Its name, in lower case.
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
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What changes in a VM's life. Only the service CPU writes it.
pub(crate) struct Life {
    pub(crate) state: VmState,
    pub(crate) started_at: Option<Instant>,
    pub(crate) paused_at: Option<Instant>,
    pub(crate) crash: Option<CrashRecord>,
    pub(crate) restarts: u32,
    /// Ends in a row that came soon after a start.
    pub(crate) quick_ends: u32,
    /// If its guest switches it off now, it does what an operator wants.
    pub(crate) is_asked_to_stop: bool,
}

/// One VM.
pub struct Vm<P: Platform> {
    id: u32,
    config: VmConfig,
    request: Request,
    ram: P::Ram,
    board: P::Board,
    slots: Vec<Arc<VcpuSlot<P>>>,
    sink: Arc<ConsoleSink>,
    recall: Arc<Recall<P>>,
    shared: Arc<Shared<P>>,
    pub(crate) life: Mutex<Life>,
    /// How far its time is behind the host's, in nanoseconds.
    behind_ns: AtomicU64,
    bad_accesses: AtomicU64,
    last_bad_access: AtomicU64,
}

impl<P: Platform> Vm<P> {
    /// Makes a VM, with everything that it needs but its images in place.
    ///
    /// # Errors
    ///
    /// Says what is missing. Nothing is left behind.
    pub(crate) fn new(
        id: u32,
        config: VmConfig,
        request: Request,
        images: &dyn Images,
        shared: &Arc<Shared<P>>,
        epoch: Duration,
    ) -> Result<Arc<Self>, NotMade> {
        let bell: Arc<dyn Bell> = Arc::<Shared<P>>::clone(shared);
        let sink = Arc::new(ConsoleSink::new(config.console_ring_bytes, Arc::clone(&bell)));
        let platform = shared.platform();
        if let Some(why) = platform.why_no_guests() {
            return Err(NotMade::Board(format!("no guest can run here: {why}")));
        }
        let lending = if config.has_balloon { Lending::Pages } else { Lending::Never };
        let parts = P::Board::ram(config.memory_bytes);
        let mut ram = platform.new_ram(&parts, lending).map_err(NotMade::Memory)?;
        let slots: Vec<_> =
            (0..config.vcpus).map(|index| VcpuSlot::new(index, Arc::clone(shared))).collect();
        let recall = Recall::new(&slots);
        let again: Arc<dyn Bell> = Arc::<Recall<P>>::clone(&recall);
        let manager: Arc<dyn Bell> = Arc::<Shared<P>>::clone(shared);
        let order = Order { config: &config, images, sink: &sink, bell: again, manager };
        let plugs = platform.plugs(&order).map_err(NotMade::Board)?;
        let serial = match config.console {
            ConsoleKind::Serial => Arc::clone(&sink),
            // Nobody sees it: the console has one writer.
            ConsoleKind::Virtio => Arc::new(ConsoleSink::new(UNSEEN_RING_BYTES, bell)),
        };
        let parts = Parts { config: &config, slots: &slots, sink: serial, epoch, plugs };
        let board = P::Board::new(parts, &mut ram).map_err(NotMade::Board)?;
        for slot in &slots {
            let (cpu, private) = board.new_core(slot, &ram).ok_or_else(|| {
                NotMade::Board(format!("no memory for the state of vCPU {}", slot.index()))
            })?;
            let core = Core { cpu, index: slot.index(), private, fault: None, detail: None };
            slot.bring_home(Box::new(core));
        }
        let mask = config.affinity.bits();
        for slot in &slots {
            let task = shared.scheduler().add(Arc::clone(slot), config.weight, mask);
            slot.set_task(task);
        }
        let life = Life {
            state: VmState::Created,
            started_at: None,
            paused_at: None,
            crash: None,
            restarts: 0,
            quick_ends: 0,
            is_asked_to_stop: false,
        };
        let vm = Arc::new(Self {
            id,
            config,
            request,
            ram,
            board,
            slots,
            sink,
            recall,
            shared: Arc::clone(shared),
            life: Mutex::new(life),
            behind_ns: AtomicU64::new(0),
            bad_accesses: AtomicU64::new(0),
            last_bad_access: AtomicU64::new(0),
        });
        for slot in &vm.slots {
            slot.set_vm(Arc::downgrade(&vm));
        }
        Ok(vm)
    }

    /// Its number, which no other VM ever has.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &VmConfig {
        &self.config
    }

    /// What is loaded into it.
    #[must_use]
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// Its RAM.
    #[must_use]
    pub fn ram(&self) -> &P::Ram {
        &self.ram
    }

    /// Its machine.
    #[must_use]
    pub fn board(&self) -> &P::Board {
        &self.board
    }

    /// Its vCPUs.
    #[must_use]
    pub fn slots(&self) -> &[Arc<VcpuSlot<P>>] {
        &self.slots
    }

    /// Its console.
    #[must_use]
    pub fn sink(&self) -> &ConsoleSink {
        &self.sink
    }

    /// Types on its console; returns how many bytes it took.
    pub(crate) fn type_in(&self, bytes: &[u8]) -> usize {
        match self.config.console {
            ConsoleKind::Serial => self.board.type_in(bytes),
            ConsoleKind::Virtio => {
                let mut consoles = self.board.plugged().iter();
                consoles.find_map(|placed| placed.handle.type_in(bytes)).unwrap_or(0)
            }
        }
    }

    /// Its slots for disks, in order: the first is the guest's `vda`.
    pub fn disks(&self) -> impl Iterator<Item = Arc<dyn DiskSlot>> {
        self.board.plugged().iter().filter_map(|placed| placed.handle.disk())
    }

    /// Tells its console how large the terminal is; one that is a serial port has no way to pass that on.
    pub(crate) fn resize_console(&self, columns: u16, rows: u16) {
        for placed in self.board.plugged() {
            placed.handle.resize(columns, rows);
        }
    }

    /// The vCPU of `slot` is about to run: devices that wanted to be called again are.
    #[inline]
    pub(crate) fn serve_devices(&self, slot: &VcpuSlot<P>) {
        self.recall.serve(slot, self.board.plugged());
    }

    /// Returns all devices to the state after power-on. No vCPU is loaded.
    pub(crate) fn reset_devices(&self) {
        self.board.reset();
        for placed in self.board.plugged() {
            placed.handle.reset();
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn state(&self) -> VmState {
        self.life.lock().state
    }

    /// Its last crash.
    #[must_use]
    pub fn crash(&self) -> Option<CrashRecord> {
        self.life.lock().crash.clone()
    }

    /// How often it was restarted without an operator.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.life.lock().restarts
    }

    /// How long it has been up, pauses not counted; zero if it is not.
    #[must_use]
    pub fn uptime(&self, now: Instant) -> Duration {
        let life = self.life.lock();
        match (life.state, life.paused_at) {
            (VmState::Running, _) => now.since(Instant(self.behind_ns.load(Ordering::Relaxed))),
            (VmState::Paused, Some(paused_at)) => {
                paused_at.since(Instant(self.behind_ns.load(Ordering::Relaxed)))
            }
            _ => Duration::ZERO,
        }
    }

    /// CPU time that it has had.
    #[must_use]
    pub fn ran(&self, now: Instant) -> Duration {
        Duration::from_nanos(self.slots.iter().map(|slot| slot.ran_ns(now)).sum())
    }

    /// How far its time is behind the host's.
    #[must_use]
    pub(crate) fn behind(&self, _now: Instant) -> Duration {
        Duration::from_nanos(self.behind_ns.load(Ordering::Relaxed))
    }

    /// Accesses to addresses where nothing is: how many, and the last address.
    #[must_use]
    pub fn bad_accesses(&self) -> (u64, GuestPhysAddr) {
        let count = self.bad_accesses.load(Ordering::Relaxed);
        (count, GuestPhysAddr(self.last_bad_access.load(Ordering::Relaxed)))
    }

    pub(crate) fn note_bad_access(&self, addr: GuestPhysAddr) {
        self.bad_accesses.fetch_add(1, Ordering::Relaxed);
        self.last_bad_access.store(addr.0, Ordering::Relaxed);
    }

    /// How long to wait before it is started again: longer each time that it did not stay up.
    pub(crate) fn restart_delay(&self, now: Instant) -> Duration {
        const STABLE: Duration = Duration::from_secs(60);
        let restart = &self.config.restart;
        let mut life = self.life.lock();
        if life.started_at.is_some_and(|at| now.since(at) > STABLE) {
            life.quick_ends = 0;
        }
        let delay = restart.delay.saturating_mul(1 << life.quick_ends.min(16));
        life.quick_ends += 1;
        delay.min(restart.max_delay)
    }

    /// Changes its state, if `event` can happen in it.
    pub(crate) fn change(&self, event: VmEvent) -> Option<VmState> {
        let mut life = self.life.lock();
        let next = life.state.after(event)?;
        life.state = next;
        Some(next)
    }

    fn tasks(&self) -> impl Iterator<Item = (&Arc<VcpuSlot<P>>, TaskId)> {
        self.slots.iter().filter_map(|slot| slot.task().map(|task| (slot, task)))
    }

    /// Asks every vCPU to stop and to leave its CPU. Returns how far the last of them is: until that is far enough, it is to
    /// be called again.
    pub(crate) fn quiesce(&self) -> Rest {
        // All at one moment: else one that still runs could switch another one on that was looked at before, and then stop
        // in time to be found at rest.
        let found: Vec<_> = {
            let mut scheduler = self.shared.scheduler();
            let mut hold = |task| (scheduler.hold(task), scheduler.loaded_on(task));
            self.tasks().map(|(slot, task)| (slot, hold(task))).collect()
        };
        let rests = found
            .into_iter()
            .map(|(slot, (running, loaded))| self.ask_to_rest(slot, running, loaded));
        rests.min().unwrap_or(Rest::Home)
    }

    /// Asks one vCPU, which runs or is loaded on these CPUs, if any.
    fn ask_to_rest(
        &self,
        slot: &VcpuSlot<P>,
        running: Option<usize>,
        loaded: Option<usize>,
    ) -> Rest {
        if let Some(cpu) = running {
            slot.ask(STOP);
            self.shared.flag(cpu, RESCHEDULE);
            Rest::Running
        } else if let Some(cpu) = loaded {
            slot.ask(EVICT);
            self.shared.flag(cpu, RESCHEDULE);
            Rest::Loaded
        } else if slot.is_home() {
            Rest::Home
        } else {
            Rest::Loaded
        }
    }

    /// Lets the vCPUs that are switched on run again. Who has not left its CPU yet is put and loaded again all the same,
    /// since that is when it gets its time.
    pub(crate) fn release(&self) {
        for (slot, task) in self.tasks() {
            slot.clear(STOP);
            let notice = {
                let mut scheduler = self.shared.scheduler();
                if scheduler.state(task) == TaskState::Held {
                    scheduler.release(task)
                } else {
                    continue;
                }
            };
            self.shared.notify(notice);
        }
    }

    /// Switches all vCPUs off. None runs, and none is loaded.
    pub(crate) fn switch_off(&self) {
        for (slot, task) in self.tasks() {
            self.shared.scheduler().switch_off(task);
            slot.set_start(None);
            slot.clear(ATTENTION | STOP | EVICT);
        }
    }

    /// Starts vCPU 0; its time begins now.
    pub(crate) fn start(&self, how: Start<P>, now: Instant) {
        self.behind_ns.store(now.0, Ordering::Relaxed);
        let mut life = self.life.lock();
        life.started_at = Some(now);
        life.is_asked_to_stop = false;
        drop(life);
        if let Some((slot, task)) = self.tasks().next() {
            slot.set_start(Some(how));
            let notice = self.shared.scheduler().release(task);
            self.shared.notify(notice);
        }
    }

    /// Its time has stood still for so long.
    pub(crate) fn delay(&self, pause: Duration) {
        if self.config.on_pause == TimeOnPause::Stop {
            let ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
            self.behind_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// Whether there is RAM at `addr`.
    #[must_use]
    pub fn is_ram(&self, addr: GuestPhysAddr) -> bool {
        self.ram.read(addr, &mut [0]).is_ok()
    }

    /// Switches vCPU `index` on, for another one of the VM.
    ///
    /// # Errors
    ///
    /// See [`CpuOnError`].
    pub fn cpu_on(&self, index: u64, how: Start<P>) -> Result<(), CpuOnError> {
        let slot = usize::try_from(index).ok().and_then(|index| self.slots.get(index));
        let (slot, task) = slot
            .and_then(|slot| slot.task().map(|task| (slot, task)))
            .ok_or(CpuOnError::NoSuchCpu)?;
        let notice = {
            let mut scheduler = self.shared.scheduler();
            if scheduler.state(task) != TaskState::Off {
                return Err(CpuOnError::AlreadyOn);
            }
            slot.set_start(Some(how));
            scheduler.release(task)
        };
        self.shared.notify(notice);
        Ok(())
    }

    /// Whether vCPU `index` is switched on; `None` if there is none.
    #[must_use]
    pub fn is_cpu_on(&self, index: u64) -> Option<bool> {
        let slot = usize::try_from(index).ok().and_then(|index| self.slots.get(index))?;
        let state = self.shared.scheduler().state(slot.task()?);
        Some(state != TaskState::Off)
    }

    /// Where each vCPU is: its state and CPU, weight and CPUs that it may use.
    #[must_use]
    pub fn placement(&self, slot: &VcpuSlot<P>) -> (TaskState, usize, u16, u64) {
        let scheduler = self.shared.scheduler();
        match slot.task() {
            Some(task) => {
                let (weight, affinity) = scheduler.settings(task);
                (scheduler.state(task), scheduler.cpu(task), weight, affinity)
            }
            None => (TaskState::Off, 0, 0, 0),
        }
    }

    /// Changes weight or affinity of all vCPUs, while they run.
    pub(crate) fn configure(&self, weight: Option<u16>, affinity: Option<u64>) {
        for (slot, task) in self.tasks() {
            let must_leave = {
                let mut scheduler = self.shared.scheduler();
                let cpu = scheduler.configure(task, weight, affinity);
                cpu.map(|cpu| (cpu, scheduler.loaded_on(task).is_some()))
            };
            if let Some((cpu, is_loaded)) = must_leave {
                if is_loaded {
                    slot.ask(EVICT);
                }
                self.shared.flag(cpu, RESCHEDULE);
            }
        }
    }

    /// Takes its vCPUs out of the scheduler. None runs, and none is loaded.
    pub(crate) fn retire(&self) {
        for (_, task) in self.tasks() {
            self.shared.scheduler().remove(task);
        }
    }

    /// Bytes of RAM that it has now, what it has lent aside, and of the tables that show it.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        (self.ram.bytes().saturating_sub(self.ram.lent().1), self.ram.table_bytes())
    }

    /// Its balloon, if it has one.
    #[must_use]
    pub fn balloon(&self) -> Option<&dyn Balloon> {
        self.board.plugged().iter().find_map(|placed| placed.handle.balloon())
    }
}

/// How far a vCPU has come to rest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Rest {
    /// It runs.
    Running,
    /// It does not run, but its state is in a CPU.
    Loaded,
    /// Its state is with its VM.
    Home,
}

/// Why a VM could not be made.
#[derive(Debug)]
pub(crate) enum NotMade {
    /// There is not enough memory.
    Memory(RamError),
    /// The machine cannot be as it should.
    Board(String),
}

impl NotMade {
    pub(crate) fn into_error(self, name: String) -> Error {
        match self {
            Self::Memory(cause) => Error::Memory { name, cause },
            Self::Board(why) => Error::Board(why),
        }
    }
}

/// Why a vCPU cannot be switched on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CpuOnError {
    /// The VM has none of that number.
    NoSuchCpu,
    /// It is on.
    AlreadyOn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_has_one_way_through() {
        use VmEvent as E;
        let mut state = VmState::Created;
        for (event, next) in [
            (E::Load, VmState::Loading),
            (E::Loaded, VmState::Running),
            (E::Pause, VmState::Paused),
            (E::Resume, VmState::Running),
            (E::Crash, VmState::Crashed),
            (E::Load, VmState::Loading),
            (E::LoadFailed, VmState::Stopped),
            (E::Load, VmState::Loading),
            (E::Loaded, VmState::Running),
            (E::PowerOff, VmState::Stopped),
        ] {
            state = state.after(event).unwrap();
            assert_eq!(state, next);
        }
    }

    #[test]
    fn what_cannot_happen_does_not() {
        assert_eq!(VmState::Created.after(VmEvent::Pause), None);
        assert_eq!(VmState::Stopped.after(VmEvent::Resume), None);
        assert_eq!(VmState::Crashed.after(VmEvent::Pause), None);
        assert_eq!(VmState::Loading.after(VmEvent::Crash), None);
        assert_eq!(VmState::Stopped.after(VmEvent::PowerOff), None);
        assert_eq!(VmState::Loading.after(VmEvent::Load), None);
    }
}
