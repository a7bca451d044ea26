//! What each physical CPU does, and nothing else: take a vCPU, run it until it stops, act on why, again; sleep when there is none.

use crate::board::Board;
use crate::crash::CrashRecord;
use crate::platform::Platform;
use crate::run::{self, Alarm, Stop};
use crate::sched::{Pick, TaskId, TaskState};
use crate::shared::{HOST_WORK, HOST_WORK_SOON, RESCHEDULE, Request, Shared};
use crate::slot::{ATTENTION, Core, EVICT, STOP, VcpuSlot};
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::time::Duration;
use hv_core::guest::GuestMemory;
use hv_core::machine::HostEvent;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// The vCPU whose state is in this CPU's registers.
pub(crate) struct Loaded<P: Platform> {
    pub(crate) slot: Arc<VcpuSlot<P>>,
    pub(crate) vm: Arc<Vm<P>>,
    pub(crate) core: Box<Core<P>>,
}

/// What the CPU found when its turn ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// The host's own work is to be looked after.
    HostWork,
    /// Nothing but guests.
    Guests,
}

/// How long output of a watched console may wait, so that it goes out in lines rather than in characters.
const SOON: Duration = Duration::from_micros(500);
/// Events that end one sleep: a timer's and a kick may be before a guest's.
const EVENTS: usize = 3;

/// One CPU's loop.
pub struct CpuLoop<P: Platform> {
    shared: Arc<Shared<P>>,
    cpu: usize,
    loaded: Option<Loaded<P>>,
    /// When vCPUs that sleep here without being loaded have to be woken for their timers.
    timers: BTreeMap<TaskId, (Instant, Weak<VcpuSlot<P>>)>,
    armed: Instant,
}

impl<P: Platform> CpuLoop<P> {
    /// The loop of CPU `cpu`.
    #[must_use]
    pub fn new(shared: Arc<Shared<P>>, cpu: usize) -> Self {
        Self { shared, cpu, loaded: None, timers: BTreeMap::new(), armed: Instant(0) }
    }

    /// Whether a vCPU wants to run here.
    #[must_use]
    pub fn has_guests(&self) -> bool {
        self.shared.scheduler().has_waiting(self.cpu)
    }

    /// Runs guests, or sleeps, until something else is to be done, or until `limit`.
    pub fn turn(&mut self, limit: Instant) -> Turn {
        let shared = Arc::clone(&self.shared);
        self.evict_if_asked();
        // HOST_WORK_SOON stays up meanwhile, so that it need not be raised for every character.
        let flags = shared.take_flags(self.cpu, RESCHEDULE | HOST_WORK)
            | shared.flags(self.cpu) & HOST_WORK_SOON;
        if flags & HOST_WORK != 0 {
            shared.take_flags(self.cpu, HOST_WORK_SOON);
            return Turn::HostWork;
        }
        let now = shared.platform().now();
        let limit = if flags & HOST_WORK_SOON == 0 { limit } else { limit.min(now + SOON) };
        self.fire_timers(now);
        let pick = shared.scheduler().pick(self.cpu);
        match pick {
            Some(pick) => self.run(pick, limit, now, flags & HOST_WORK_SOON),
            None => self.sleep(limit, now, flags & HOST_WORK_SOON),
        }
        let is_due = flags & HOST_WORK_SOON != 0 || shared.flags(self.cpu) & HOST_WORK != 0;
        if is_due || shared.platform().now() >= limit {
            shared.take_flags(self.cpu, HOST_WORK | HOST_WORK_SOON);
            Turn::HostWork
        } else {
            Turn::Guests
        }
    }

    fn run(&mut self, pick: Pick<Arc<VcpuSlot<P>>>, limit: Instant, now: Instant, known: u32) {
        let shared = Arc::clone(&self.shared);
        let platform = shared.platform();
        let slot = pick.payload;
        if !self.load(&slot) {
            shared.scheduler().block(self.cpu);
            return;
        }
        let Some(loaded) = self.loaded.as_mut() else { return };
        loaded.vm.board().tick(&mut loaded.core);
        let slice_end = pick.slice.map_or(Instant::NEVER, |slice| now + slice);
        let others = self.timers.values().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER);
        let limit = limit.min(slice_end).min(others);
        let mut alarm = Alarm { armed: &mut self.armed, limit };
        alarm.set(loaded.vm.board().deadline(&loaded.core), platform);
        let before = slot.ran_ns(now);
        slot.enter(self.cpu, now);
        let stop = run::run(loaded, self.cpu, &shared, !known, &mut alarm);
        let ended = platform.now();
        if ended >= self.armed {
            self.armed = Instant(0);
        }
        slot.leave(ended);
        let ran = slot.ran_ns(ended).saturating_sub(before);
        shared.scheduler().charge(self.cpu, Duration::from_nanos(ran));
        self.stopped(&slot, stop);
    }

    fn stopped(&mut self, slot: &Arc<VcpuSlot<P>>, stop: Stop) {
        let shared = Arc::clone(&self.shared);
        let vm_id = self.loaded.as_ref().map_or(0, |loaded| loaded.vm.id());
        match stop {
            Stop::Idle => {
                shared.scheduler().block(self.cpu);
                // Who asked for attention before it was blocked found it running, and left it to us.
                if slot.events() & ATTENTION != 0 {
                    slot.wake();
                }
            }
            Stop::Preempted | Stop::Sooner => shared.scheduler().requeue(self.cpu),
            Stop::Held => self.leave(TaskState::Held),
            Stop::Off => self.leave(TaskState::Off),
            // What is asked for is told before the vCPU is at rest: told later, it might meet a VM that was started anew since.
            Stop::PowerOff => {
                shared.request(Request::PowerOff(vm_id));
                self.leave(TaskState::Held);
            }
            Stop::Reset => {
                shared.request(Request::Reset(vm_id));
                self.leave(TaskState::Held);
            }
            Stop::Crashed => {
                if let Some(record) = self.record() {
                    shared.request(Request::Crash(vm_id, record));
                }
                self.leave(TaskState::Held);
            }
        }
    }

    /// Puts the vCPU that ran, and only then says that it stopped: who finds it stopped may take its registers.
    fn leave(&mut self, state: TaskState) {
        self.put();
        let mut scheduler = self.shared.scheduler();
        scheduler.unloaded(self.cpu);
        scheduler.leave(self.cpu, state);
    }

    fn record(&mut self) -> Option<CrashRecord> {
        let Loaded { vm, core, slot } = self.loaded.as_mut()?;
        let fault = core.fault?;
        let mut word = [0; 4];
        let address = core.cpu.instruction_address();
        let instruction = address
            .filter(|&address| vm.ram().read(address, &mut word).is_ok())
            .map(|_| u32::from_le_bytes(word));
        Some(CrashRecord {
            at: self.shared.platform().now(),
            vcpu: slot.index(),
            fault,
            detail: core.detail.take(),
            pc: core.cpu.pc(),
            instruction,
            registers: core.cpu.dump(),
            last_exits: core.cpu.last_exits(),
        })
    }

    /// Sleeps until an interrupt. The vCPU that is loaded stays so, and its own timer may wake it.
    fn sleep(&mut self, limit: Instant, now: Instant, known: u32) {
        let shared = Arc::clone(&self.shared);
        let platform = shared.platform();
        let mut deadline =
            limit.min(self.timers.values().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER));
        if let Some(loaded) = &self.loaded {
            deadline = deadline.min(loaded.vm.board().deadline(&loaded.core));
        }
        Alarm { armed: &mut self.armed, limit: deadline }.set(Instant::NEVER, platform);
        shared.sleeps(self.cpu, now);
        // A flag that was raised since has a kick behind it, which makes the sleep end at once. What is known is in the limit.
        if shared.flags(self.cpu) & !known == 0 {
            platform.sleep();
        }
        let woke = platform.now();
        shared.woke(self.cpu, woke);
        if woke >= self.armed {
            self.armed = Instant(0);
        }
        // One at a time: the console's waits until the console is served, and what else waits ends the next sleep at once. But
        // behind our own there may be a guest's, which would wait for ever while there is always more to do for the host.
        for _ in 0..EVENTS {
            let Some(event) = platform.next_event() else { break };
            match (event, self.loaded.as_mut()) {
                (HostEvent::Kick | HostEvent::Timer, _) => continue,
                (HostEvent::Console | HostEvent::Disk | HostEvent::Network, _) => {
                    shared.flag(self.cpu, HOST_WORK)
                }
                (HostEvent::GuestTimer | HostEvent::GuestInterruptController, Some(loaded)) => {
                    loaded.vm.board().host_event(event, &mut loaded.core);
                    loaded.slot.wake();
                }
                (HostEvent::GuestTimer, None) => platform.deactivate_guest_timer(),
                (HostEvent::GuestInterruptController, None) => {}
                (HostEvent::Spurious(number), _) => {
                    log::warn!("spurious interrupt {number} on CPU {}", self.cpu);
                }
            }
            break;
        }
        if let Some(loaded) = self.loaded.as_mut() {
            loaded.vm.board().tick(&mut loaded.core);
        }
    }

    /// Wakes the vCPUs whose timers are due.
    fn fire_timers(&mut self, now: Instant) {
        if self.timers.is_empty() {
            return;
        }
        self.timers.retain(|_, (at, slot)| {
            let is_due = *at <= now;
            if is_due && let Some(slot) = slot.upgrade() {
                slot.wake();
            }
            !is_due
        });
    }

    /// Puts the loaded vCPU if somebody needs its registers elsewhere.
    fn evict_if_asked(&mut self) {
        let Some(loaded) = &self.loaded else { return };
        if loaded.slot.events() & EVICT == 0 {
            return;
        }
        let slot = Arc::clone(&loaded.slot);
        self.put();
        let notice = {
            let mut scheduler = self.shared.scheduler();
            scheduler.unloaded(self.cpu);
            slot.task().map(|task| scheduler.rehome(task))
        };
        if let Some(notice) = notice {
            self.shared.notify(notice);
        }
    }

    /// Loads `slot`; `false` if its VM is gone.
    fn load(&mut self, slot: &Arc<VcpuSlot<P>>) -> bool {
        if let Some(loaded) = &self.loaded
            && Arc::ptr_eq(&loaded.slot, slot)
        {
            return true;
        }
        self.put();
        let Some(vm) = slot.vm() else { return false };
        if let Some(task) = slot.task() {
            self.timers.remove(&task);
        }
        // The CPU that had it before may be about to bring it home: that takes some hundred instructions.
        let mut core = loop {
            match slot.take_home() {
                Some(core) => break core,
                None => self.shared.platform().pause(),
            }
        };
        if let Some(start) = slot.take_start() {
            core.cpu.reset(start);
            vm.board().restarted(&mut core);
        }
        let now = self.shared.platform().now();
        core.cpu.load(vm.behind(now));
        vm.board().loaded(&mut core);
        slot.ask(ATTENTION);
        self.loaded = Some(Loaded { slot: Arc::clone(slot), vm, core });
        true
    }

    /// Puts the loaded vCPU, and notes when it must be woken.
    fn put(&mut self) {
        let Some(Loaded { slot, vm, mut core }) = self.loaded.take() else { return };
        vm.board().unloading(&mut core);
        core.cpu.put();
        let wake_at = vm.board().wake_time(&core);
        if wake_at != Instant::NEVER
            && slot.events() & STOP == 0
            && let Some(task) = slot.task()
        {
            self.timers.insert(task, (wake_at, Arc::downgrade(&slot)));
        }
        slot.clear(EVICT);
        slot.bring_home(core);
    }
}

#[cfg(test)]
mod tests;
