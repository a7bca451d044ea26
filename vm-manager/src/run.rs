//! The exit loop: the one place where an exit becomes an action.

use crate::board::Board;
use crate::bus::Reply;
use crate::cpu_loop::Loaded;
use crate::platform::Platform;
use crate::shared::{HOST_WORK, HOST_WORK_SOON, RESCHEDULE, Shared};
use crate::slot::{ATTENTION, COMMON_EXITS, Core, EVICT, STOP, VcpuSlot};
use core::ops::ControlFlow::{self, Break, Continue};
use core::sync::atomic::Ordering;
use hv_core::exit::Exit;
use hv_core::machine::HostEvent;
use hv_core::vcpu::GuestCpu;

/// Why a vCPU gave its CPU back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Stop {
    /// It waits for an interrupt.
    Idle,
    /// The CPU has something else to look after; the vCPU could run on.
    Preempted,
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

/// Runs the loaded vCPU on CPU `cpu` until it has to stop. Flags of the CPU that are not in `heeded` are for later.
pub(crate) fn run<P: Platform>(
    loaded: &mut Loaded<P>,
    cpu: usize,
    shared: &Shared<P>,
    heeded: u32,
) -> Stop {
    let Loaded { slot, vm, core } = loaded;
    let board = vm.board();
    let flags = shared.flags_of(cpu);
    let heeded = heeded & (RESCHEDULE | HOST_WORK | HOST_WORK_SOON);
    loop {
        // What is raised after these two looks has a kick behind it, which ends the guest's run at once.
        if slot.events() != 0
            && let Break(stop) = events(slot, board, core)
        {
            return stop;
        }
        if flags.load(Ordering::Relaxed) & heeded != 0 {
            return Stop::Preempted;
        }
        let flow = match core.cpu.run() {
            Exit::Arch(exit) => {
                slot.count(COMMON_EXITS.len() + P::Board::exit_index(&exit));
                board.handle(exit, core, vm)
            }
            Exit::Device(access) => {
                slot.count(MMIO);
                match board.access(access, core, shared.platform()) {
                    Reply::Value(value) => core.cpu.finish_read(value),
                    Reply::Done => core.cpu.finish(),
                    Reply::NoDevice => {
                        vm.note_bad_access(access.addr);
                        core.cpu.fail_access();
                    }
                }
                Continue(())
            }
            Exit::Interrupt => {
                slot.count(INTERRUPT);
                interrupt(board, core, shared, cpu)
            }
            Exit::Idle => {
                slot.count(IDLE);
                core.cpu.finish();
                idle(slot, board, core, shared, cpu)
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
                core.fault = Some(fault);
                Break(Stop::Crashed)
            }
        };
        if let Break(stop) = flow {
            return stop;
        }
    }
}

/// Does what is asked of the vCPU.
fn events<P: Platform>(
    slot: &VcpuSlot<P>,
    board: &P::Board,
    core: &mut Core<P>,
) -> ControlFlow<Stop> {
    let events = slot.events();
    if events & ATTENTION != 0 {
        slot.clear(ATTENTION);
        board.attend(core)?;
    }
    if events & STOP != 0 {
        Break(Stop::Held)
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
) -> ControlFlow<Stop> {
    match shared.platform().next_event() {
        Some(event @ (HostEvent::GuestTimer | HostEvent::GuestInterruptController)) => {
            board.host_event(event, core);
            Continue(())
        }
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
        Some(HostEvent::Console) => {
            shared.flag(cpu, HOST_WORK);
            Break(Stop::Preempted)
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
