//! What all CPUs share: the scheduler, each CPU's flags, and what they ask of the manager.

use crate::platform::Platform;
use crate::sched::{Notice, Scheduler};
use crate::sink::Bell;
use crate::slot::VcpuSlot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use hv_core::sync::{Mutex, MutexGuard};
use hv_core::time::Instant;

use crate::crash::CrashRecord;

/// The CPU must look at its run queue.
pub(crate) const RESCHEDULE: u32 = 1;
/// The CPU must look after the host's own work: at once.
pub(crate) const HOST_WORK: u32 = 1 << 1;
/// The CPU must look after the host's own work: soon.
pub(crate) const HOST_WORK_SOON: u32 = 1 << 2;

/// The CPU that serves operators and manages VMs.
pub const SERVICE_CPU: usize = 0;

/// One CPU, as the others see it.
#[derive(Default)]
pub(crate) struct CpuShared {
    flags: AtomicU32,
    idle_ns: AtomicU64,
    /// Since when it sleeps; 0 while it does not.
    idle_since_ns: AtomicU64,
}

/// What a CPU found out, that the manager has to act on.
pub enum Request {
    /// The VM's guest switched it off.
    PowerOff(u32),
    /// The VM's guest asked for a reset.
    Reset(u32),
    /// The VM's guest cannot go on.
    Crash(u32, CrashRecord),
}

/// What all CPUs share.
pub struct Shared<P: Platform> {
    platform: P,
    scheduler: Mutex<Scheduler<Arc<VcpuSlot<P>>>>,
    cpus: Vec<CpuShared>,
    requests: Mutex<Vec<Request>>,
}

impl<P: Platform> Shared<P> {
    /// For a machine of `cpus` CPUs.
    #[must_use]
    pub fn new(platform: P, cpus: usize) -> Arc<Self> {
        Arc::new(Self {
            platform,
            scheduler: Mutex::new(Scheduler::new(cpus)),
            cpus: (0..cpus.max(1)).map(|_| CpuShared::default()).collect(),
            requests: Mutex::new(Vec::new()),
        })
    }

    /// The machine.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// How many CPUs there are.
    #[must_use]
    pub fn cpu_count(&self) -> usize {
        self.cpus.len()
    }

    /// The run queues. Nothing is called with the lock held.
    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Scheduler<Arc<VcpuSlot<P>>>> {
        self.scheduler.lock()
    }

    /// Has the CPU that `notice` names look at its queue.
    pub(crate) fn notify(&self, notice: Notice) {
        if let Notice::Cpu(cpu) = notice {
            self.flag(cpu, RESCHEDULE);
        }
    }

    /// Raises a flag of CPU `cpu`, and takes it out of guest or sleep unless it is this one.
    pub(crate) fn flag(&self, cpu: usize, flag: u32) {
        let Some(shared) = self.cpus.get(cpu) else { return };
        // SeqCst: the flag must be seen by a CPU that the kick finds on its way into a guest or to sleep.
        let before = shared.flags.fetch_or(flag, Ordering::SeqCst);
        if before & flag == 0 && cpu != self.platform.cpu_index() {
            self.platform.kick(cpu);
        }
    }

    #[inline]
    pub(crate) fn flags(&self, cpu: usize) -> u32 {
        self.flags_of(cpu).load(Ordering::SeqCst)
    }

    /// The flags of CPU `cpu`; of nobody, which stay down, if there is no such CPU.
    #[inline]
    pub(crate) fn flags_of(&self, cpu: usize) -> &AtomicU32 {
        static NOBODY: AtomicU32 = AtomicU32::new(0);
        self.cpus.get(cpu).map_or(&NOBODY, |shared| &shared.flags)
    }

    pub(crate) fn take_flags(&self, cpu: usize, flags: u32) -> u32 {
        self.cpus
            .get(cpu)
            .map_or(0, |shared| shared.flags.fetch_and(!flags, Ordering::SeqCst) & flags)
    }

    pub(crate) fn request(&self, request: Request) {
        self.requests.lock().push(request);
        self.flag(SERVICE_CPU, HOST_WORK);
    }

    pub(crate) fn take_requests(&self) -> Vec<Request> {
        core::mem::take(&mut *self.requests.lock())
    }

    pub(crate) fn sleeps(&self, cpu: usize, since: Instant) {
        if let Some(shared) = self.cpus.get(cpu) {
            shared.idle_since_ns.store(since.0.max(1), Ordering::Relaxed);
        }
    }

    pub(crate) fn woke(&self, cpu: usize, now: Instant) {
        if let Some(shared) = self.cpus.get(cpu) {
            let since = shared.idle_since_ns.swap(0, Ordering::Relaxed);
            shared.idle_ns.fetch_add(now.0.saturating_sub(since), Ordering::Relaxed);
        }
    }

    /// How many vCPUs are with CPU `cpu`.
    #[must_use]
    pub fn population(&self, cpu: usize) -> usize {
        self.scheduler().population(cpu)
    }

    /// What runs on CPU `cpu`.
    #[must_use]
    pub fn running(&self, cpu: usize) -> Option<Arc<VcpuSlot<P>>> {
        self.scheduler().running(cpu)
    }

    /// How long CPU `cpu` has slept, in nanoseconds.
    #[must_use]
    pub fn idle_ns(&self, cpu: usize, now: Instant) -> u64 {
        self.cpus.get(cpu).map_or(0, |shared| {
            let since = shared.idle_since_ns.load(Ordering::Relaxed);
            let current = if since == 0 { 0 } else { now.0.saturating_sub(since) };
            shared.idle_ns.load(Ordering::Relaxed) + current
        })
    }
}

impl<P: Platform> Bell for Shared<P> {
    fn ring(&self) {
        let Some(service) = self.cpus.get(SERVICE_CPU) else { return };
        // Rung for every character: mostly it is up already, and this is all.
        if service.flags.load(Ordering::Relaxed) & (HOST_WORK_SOON | HOST_WORK) == 0 {
            self.flag(SERVICE_CPU, HOST_WORK_SOON);
        }
    }
}
