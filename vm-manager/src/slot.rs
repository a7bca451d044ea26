//! One vCPU of a VM: where it is, and what is asked of it.

use crate::board::Board;
use crate::platform::Platform;
use crate::sched::TaskId;
use crate::shared::Shared;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hv_core::exit::Fault;
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;
use spin::Once;

/// Interrupts are to be brought to it before it runs on.
pub(crate) const ATTENTION: u32 = 1;
/// It is to stop, because its VM does.
pub(crate) const STOP: u32 = 1 << 1;
/// The CPU in whose registers it is has to put it.
pub(crate) const EVICT: u32 = 1 << 2;

const NOWHERE: usize = usize::MAX;
const MAX_EXIT_KINDS: usize = 20;

/// How a vCPU of this machine starts.
pub type Start<P> = <<P as Platform>::Cpu as GuestCpu>::Start;

/// A vCPU's registers and what its board keeps for it. Whoever has the box owns the vCPU: the CPU on which it is loaded, else its slot.
pub struct Core<P: Platform> {
    /// Its registers.
    pub cpu: P::Cpu,
    /// Its number in the VM.
    pub index: u8,
    /// What the board keeps for it.
    pub private: <P::Board as Board<P>>::Private,
    /// What it cannot go on from.
    pub fault: Option<Fault>,
    /// More about that, for the operator.
    pub detail: Option<String>,
}

/// The exits that all architectures share, as counted.
pub const COMMON_EXITS: [&str; 5] = ["mmio", "idle", "yield", "interrupt", "fatal"];

/// One vCPU.
pub struct VcpuSlot<P: Platform> {
    index: u8,
    vm: Once<Weak<Vm<P>>>,
    shared: Arc<Shared<P>>,
    task: Once<TaskId>,
    events: AtomicU32,
    running_on: AtomicUsize,
    /// The registers, while no CPU has them.
    home: Mutex<Option<Box<Core<P>>>>,
    /// How it is to start next.
    start: Mutex<Option<Start<P>>>,
    exits: [AtomicU64; MAX_EXIT_KINDS],
    ran_ns: AtomicU64,
    /// Since when it runs; 0 while it does not.
    running_since_ns: AtomicU64,
}

impl<P: Platform> VcpuSlot<P> {
    pub(crate) fn new(index: u8, shared: Arc<Shared<P>>) -> Arc<Self> {
        Arc::new(Self {
            index,
            vm: Once::new(),
            shared,
            task: Once::new(),
            events: AtomicU32::new(0),
            running_on: AtomicUsize::new(NOWHERE),
            home: Mutex::new(None),
            start: Mutex::new(None),
            exits: Default::default(),
            ran_ns: AtomicU64::new(0),
            running_since_ns: AtomicU64::new(0),
        })
    }

    /// Its number in its VM.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// Its VM, unless that is gone.
    #[must_use]
    pub fn vm(&self) -> Option<Arc<Vm<P>>> {
        self.vm.get()?.upgrade()
    }

    pub(crate) fn set_vm(&self, vm: Weak<Vm<P>>) {
        self.vm.call_once(|| vm);
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        &self.shared
    }

    pub(crate) fn set_task(&self, task: TaskId) {
        self.task.call_once(|| task);
    }

    pub(crate) fn task(&self) -> Option<TaskId> {
        self.task.get().copied()
    }

    /// Asks it to bring pending interrupts in: wakes it if it sleeps, takes it out of the guest if it runs elsewhere. Quick, and
    /// safe to call with a device's lock held.
    pub fn attend(&self) {
        // SeqCst: pairs with `CpuLoop`, which first says that it runs nowhere, then blocks it, and then looks at the events.
        if self.events.fetch_or(ATTENTION, Ordering::SeqCst) & ATTENTION != 0 {
            return;
        }
        let cpu = self.running_on.load(Ordering::SeqCst);
        if cpu == NOWHERE {
            self.wake();
        } else if cpu != self.shared.platform().cpu_index() {
            self.shared.platform().kick(cpu);
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(task) = self.task() {
            let notice = self.shared.scheduler().wake(task);
            self.shared.notify(notice);
        }
    }

    /// Has it stop or be put, for its VM's sake.
    pub(crate) fn ask(&self, event: u32) {
        self.events.fetch_or(event, Ordering::SeqCst);
    }

    /// SeqCst: pairs with [`Self::attend`] when it is about to sleep.
    #[inline]
    pub(crate) fn events(&self) -> u32 {
        self.events.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn clear(&self, event: u32) {
        self.events.fetch_and(!event, Ordering::SeqCst);
    }

    pub(crate) fn enter(&self, cpu: usize, now: Instant) {
        self.running_since_ns.store(now.0.max(1), Ordering::Relaxed);
        self.running_on.store(cpu, Ordering::SeqCst);
    }

    /// It waits for an interrupt, in place: the time is not its own.
    pub(crate) fn rests(&self, now: Instant) {
        let since = self.running_since_ns.swap(0, Ordering::Relaxed);
        self.ran_ns.fetch_add(now.0.saturating_sub(since), Ordering::Relaxed);
    }

    /// It runs again.
    pub(crate) fn runs(&self, now: Instant) {
        self.running_since_ns.store(now.0.max(1), Ordering::Relaxed);
    }

    /// Whether it runs, and does not wait in place.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.running_since_ns.load(Ordering::Relaxed) != 0
    }

    /// Counts the time that it has run, and says that it runs nowhere.
    pub(crate) fn leave(&self, now: Instant) {
        self.running_on.store(NOWHERE, Ordering::SeqCst);
        self.rests(now);
    }

    /// CPU time that it has had, in nanoseconds.
    #[must_use]
    pub fn ran_ns(&self, now: Instant) -> u64 {
        let since = self.running_since_ns.load(Ordering::Relaxed);
        let current = if since == 0 { 0 } else { now.0.saturating_sub(since) };
        self.ran_ns.load(Ordering::Relaxed) + current
    }

    /// Where it runs now.
    #[must_use]
    pub fn running_on(&self) -> Option<usize> {
        Some(self.running_on.load(Ordering::Relaxed)).filter(|&cpu| cpu != NOWHERE)
    }

    pub(crate) fn take_home(&self) -> Option<Box<Core<P>>> {
        self.home.lock().take()
    }

    pub(crate) fn bring_home(&self, core: Box<Core<P>>) {
        *self.home.lock() = Some(core);
    }

    pub(crate) fn is_home(&self) -> bool {
        self.home.lock().is_some()
    }

    pub(crate) fn set_start(&self, start: Option<Start<P>>) {
        *self.start.lock() = start;
    }

    pub(crate) fn take_start(&self) -> Option<Start<P>> {
        self.start.lock().take()
    }

    #[inline]
    pub(crate) fn count(&self, kind: usize) {
        if let Some(counter) = self.exits.get(kind) {
            // One writer: the CPU that has it. So no read-modify-write is needed.
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// Exits by reason: name and count, those that occurred.
    pub fn exits(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = COMMON_EXITS.iter().chain(P::Board::EXIT_NAMES).copied();
        names.zip(&self.exits).map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}
