//! The exit loop: the one place where an exit becomes an action.

use crate::board::Board;
use crate::bus::Reply;
use crate::cpu_loop::Loaded;
use crate::platform::{Platform, Ram};
use crate::shared::{HOST_WORK, HOST_WORK_SOON, RESCHEDULE, Shared};
use crate::sink::Bell;
use crate::slot::{ATTENTION, COMMON_EXITS, Core, EVICT, STOP, VcpuSlot};
use crate::vm::Vm;
use core::ops::ControlFlow::{self, Break, Continue};
use core::sync::atomic::Ordering;
use hv_core::exit::{Access, Exit, Fault};
use hv_core::guest::Space;
use hv_core::machine::HostEvent;
use hv_core::ram::Touched;
use hv_core::time::Instant;
use hv_core::vcpu::GuestCpu;

/// Why a vCPU gave its CPU back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Stop {
    /// It waits for an interrupt.
    Idle,
    /// The CPU has something else to look after; the vCPU could run on.
    Preempted,
    /// One of its timers is due sooner than it was, and the CPU's has to follow; the vCPU runs on at once.
    Sooner,
    /// Its VM is to stand still.
    Held,
    /// It switched itself off.
    Off,
    /// It switched its VM off.
    PowerOff,
    /// It asked for its VM to be reset.
    Reset,
    /// It did something that no CPU can continue from: [`Core::fault`](crate::slot::Core::fault).
    Crashed,
}

// Indices into COMMON_EXITS.
const MMIO: usize = 0;
const IDLE: usize = 1;
const YIELD: usize = 2;
const INTERRUPT: usize = 3;
const FATAL: usize = 4;

/// The timer of the CPU, while a vCPU runs there.
pub(crate) struct Alarm<'a> {
    /// What it is set to; in the past if that is not known.
    pub(crate) armed: &'a mut Instant,
    /// When the CPU has something else to do, whatever the vCPU's own timers want.
    pub(crate) limit: Instant,
}

impl Alarm<'_> {
    /// Sets it for the vCPU's `deadline`, unless it is set so already: that is a register access and a half saved on most
    /// turns.
    pub(crate) fn set<P: Platform>(&mut self, deadline: Instant, platform: &P) {
        let deadline = deadline.min(self.limit);
        if *self.armed != deadline {
            platform.set_timer(deadline);
            *self.armed = deadline;
        }
    }

    /// It rang: whether that was for the vCPU, whose timers have then looked at the time.
    fn rings<P: Platform>(&mut self, board: &P::Board, core: &mut Core<P>, platform: &P) -> bool {
        *self.armed = Instant(0);
        if platform.now() >= self.limit {
            return false;
        }
        board.tick(core);
        self.set(board.deadline(core), platform);
        true
    }
}

/// Runs the loaded vCPU on CPU `cpu` until it has to stop. Flags of the CPU that are not in `heeded` are for later.
pub(crate) fn run<P: Platform>(
    loaded: &mut Loaded<P>,
    cpu: usize,
    shared: &Shared<P>,
    heeded: u32,
    alarm: &mut Alarm<'_>,
) -> Stop {
    let Loaded { slot, vm, core } = loaded;
    let board = vm.board();
    let flags = shared.flags_of(cpu);
    let heeded = heeded & (RESCHEDULE | HOST_WORK | HOST_WORK_SOON);
    if slot.events() == 0 && board.must_sleep(core) {
        return Stop::Idle;
    }
    loop {
        // What is raised after these two looks has a kick behind it, which ends the guest's run at once.
        if slot.events() != 0
            && let Break(stop) = events(slot, vm, core)
        {
            if stop == Stop::Sooner {
                alarm.set(board.deadline(core), shared.platform());
                continue;
            }
            return stop;
        }
        if flags.load(Ordering::Relaxed) & heeded != 0 {
            return Stop::Preempted;
        }
        let flow = match core.cpu.run() {
            // By reference: a copy of what is known to be somewhere costs more than the rest of this arm.
            Exit::Arch(ref exit) => {
                slot.count(COMMON_EXITS.len() + P::Board::exit_index(exit));
                board.handle(exit, core, vm)
            }
            Exit::Device(access) => {
                slot.count(MMIO);
                let reply = board.access(access, core, shared.platform());
                answer(reply, access, core, vm)
            }
            Exit::Interrupt => {
                slot.count(INTERRUPT);
                interrupt(board, core, shared, cpu, alarm)
            }
            Exit::Idle => {
                slot.count(IDLE);
                core.cpu.finish();
                idle(slot, board, core, shared, cpu, alarm)
            }
            Exit::Yield => {
                slot.count(YIELD);
                core.cpu.finish();
                if shared.scheduler().has_waiting(cpu) {
                    Break(Stop::Preempted)
                } else {
                    Continue(())
                }
            }
            Exit::Fatal(fault) => {
                slot.count(FATAL);
                fatal(fault, core, vm)
            }
        };
        if let Break(stop) = flow {
            if stop != Stop::Sooner {
                return stop;
            }
            alarm.set(board.deadline(core), shared.platform());
        }
    }
}

/// Gives the guest what a device has answered.
#[inline(always)]
fn answer<P: Platform>(
    reply: Reply,
    access: Access,
    core: &mut Core<P>,
    vm: &Vm<P>,
) -> ControlFlow<Stop> {
    match reply {
        Reply::Value(value) => core.cpu.finish_read(value),
        Reply::Done => core.cpu.finish(),
        Reply::NoDevice => no_device(access, core, vm),
        Reply::Ends(stop) => {
            core.cpu.finish();
            return Break(stop);
        }
    }
    Continue(())
}

/// An access to where nothing is: a page that was lent comes back, and the guest tries again.
#[cold]
fn no_device<P: Platform>(access: Access, core: &mut Core<P>, vm: &Vm<P>) {
    if access.space == Space::Mmio && vm.ram().touch(access.addr) == Touched::Present {
        return;
    }
    vm.note_bad_access(access.addr);
    core.cpu.fail_access();
}

/// The guest cannot go on, unless all it missed is a page that was lent.
#[cold]
fn fatal<P: Platform>(fault: Fault, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
    if fault.missed().is_some_and(|addr| vm.ram().touch(addr) == Touched::Present) {
        return Continue(());
    }
    core.fault = Some(fault);
    Break(Stop::Crashed)
}

/// Does what is asked of the vCPU.
fn events<P: Platform>(slot: &VcpuSlot<P>, vm: &Vm<P>, core: &mut Core<P>) -> ControlFlow<Stop> {
    let events = slot.events();
    let mut flow = Continue(());
    if events & ATTENTION != 0 {
        slot.clear(ATTENTION);
        vm.serve_devices(slot);
        flow = vm.board().attend(core);
    }
    if events & STOP != 0 {
        Break(Stop::Held)
    } else if flow.is_break() {
        flow
    } else if events & EVICT != 0 {
        Break(Stop::Preempted)
    } else {
        Continue(())
    }
}

/// Takes an interrupt that waits; one for the loaded vCPU goes to its board. If more wait, the guest does not get far.
#[inline]
fn interrupt<P: Platform>(
    board: &P::Board,
    core: &mut Core<P>,
    shared: &Shared<P>,
    cpu: usize,
    alarm: &mut Alarm<'_>,
) -> ControlFlow<Stop> {
    match shared.platform().next_event() {
        Some(event @ (HostEvent::GuestTimer | HostEvent::GuestInterruptController)) => {
            board.host_event(event, core);
            Continue(())
        }
        Some(HostEvent::Timer) if alarm.rings(board, core, shared.platform()) => Continue(()),
        event => host_event(event, shared, cpu),
    }
}

/// An interrupt that is for the host.
fn host_event<P: Platform>(
    event: Option<HostEvent>,
    shared: &Shared<P>,
    cpu: usize,
) -> ControlFlow<Stop> {
    match event {
        Some(HostEvent::Timer) => Break(Stop::Preempted),
        Some(HostEvent::Console | HostEvent::Network) => {
            shared.flag(cpu, HOST_WORK);
            Break(Stop::Preempted)
        }
        // Here and now: it is mostly this guest that waits, and the way to the host's own work is longer than all of that.
        Some(HostEvent::Disk) => {
            if shared.platform().hear_disks() != Instant::NEVER {
                shared.ring();
            }
            Continue(())
        }
        Some(HostEvent::Spurious(number)) => {
            spurious(number, cpu);
            Continue(())
        }
        // Whoever kicked has left a flag or an event, which is looked at first. The guest's own never come here.
        Some(HostEvent::Kick | HostEvent::GuestTimer | HostEvent::GuestInterruptController)
        | None => Continue(()),
    }
}

#[cold]
fn spurious(number: u32, cpu: usize) {
    log::warn!("spurious interrupt {number} on CPU {cpu}");
}

/// The guest waits for an interrupt. While nobody else wants this CPU, it sleeps with the vCPU in place, so that the guest's
/// own interrupts find the shortest way back.
fn idle<P: Platform>(
    slot: &VcpuSlot<P>,
    board: &P::Board,
    core: &mut Core<P>,
    shared: &Shared<P>,
    cpu: usize,
    alarm: &mut Alarm<'_>,
) -> ControlFlow<Stop> {
    let platform = shared.platform();
    if board.has_pending(core) {
        return Continue(());
    }
    if !shared.scheduler().doze(cpu) {
        return Break(Stop::Idle);
    }
    let mut since = platform.now();
    slot.rests(since);
    shared.sleeps(cpu, since);
    let flow = loop {
        if slot.events() != 0 {
            break Continue(());
        }
        // Flags that are not heeded now are worth the while when there is nothing else to do.
        if shared.flags_of(cpu).load(Ordering::SeqCst) != 0 || board.deadline(core) <= since {
            break Break(Stop::Idle);
        }
        platform.sleep();
        match platform.next_event() {
            // The guest looks for itself: waking it for nothing is allowed, and asking costs more.
            Some(event @ (HostEvent::GuestTimer | HostEvent::GuestInterruptController)) => {
                board.host_event(event, core);
                break Continue(());
            }
            // Its own timers may have something for it: then its attention is asked for.
            Some(HostEvent::Timer) if alarm.rings(board, core, platform) => {
                since = platform.now();
            }
            event => {
                let flow = host_event(event, shared, cpu);
                if flow.is_break() {
                    break Break(Stop::Idle);
                }
                since = platform.now();
            }
        }
    };
    let now = platform.now();
    shared.woke(cpu, now);
    slot.runs(now);
    shared.scheduler().rouse(cpu);
    flow
}

#[cfg(test)]
mod tests;
