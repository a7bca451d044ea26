//! The exit loop: the one place where an exit becomes an action.

use crate::board::Board;
use crate::bus::Reply;
use crate::cpu_loop::Loaded;
use crate::platform::Platform;
use crate::shared::{HOST_WORK, HOST_WORK_SOON, RESCHEDULE, Shared};
use crate::slot::{ATTENTION, COMMON_EXITS, EVICT, STOP};
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::exit::{Exit, Fault};
use hv_core::machine::HostEvent;
use hv_core::vcpu::GuestCpu;

/// Why a vCPU gave its CPU back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    /// It did something that no CPU can continue from.
    Crashed(Fault),
}

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
    const FLAGS: u32 = RESCHEDULE | HOST_WORK | HOST_WORK_SOON;
    let Loaded { slot, vm, core } = loaded;
    let board = vm.board();
    loop {
        let events = slot.events();
        if events != 0 {
            if events & ATTENTION != 0 {
                slot.clear(ATTENTION);
                board.attend(core);
            }
            if events & (STOP | EVICT) != 0 {
                return if events & STOP != 0 { Stop::Held } else { Stop::Preempted };
            }
        }
        if shared.flags(cpu) & FLAGS & heeded != 0 {
            return Stop::Preempted;
        }
        let exit = core.cpu.run();
        let kind = match &exit {
            Exit::Device(_) => MMIO,
            Exit::Idle => IDLE,
            Exit::Yield => YIELD,
            Exit::Interrupt => INTERRUPT,
            Exit::Arch(exit) => COMMON_EXITS.len() + P::Board::exit_index(exit),
            Exit::Fatal(_) => FATAL,
        };
        slot.count(kind);
        core.trail.note(kind as u8, core.cpu.pc());
        let flow = match exit {
            Exit::Device(access) => {
                match board.access(access, core, shared.platform().now()) {
                    Reply::Value(value) => core.cpu.finish_read(value),
                    Reply::Done => core.cpu.finish(),
                    Reply::NoDevice => {
                        vm.note_bad_access(access.addr);
                        core.cpu.fail_access();
                    }
                }
                Continue(())
            }
            Exit::Arch(exit) => board.handle(exit, core, vm),
            Exit::Idle => {
                core.cpu.finish();
                if board.has_pending(core) { Continue(()) } else { Break(Stop::Idle) }
            }
            Exit::Yield => {
                core.cpu.finish();
                if shared.scheduler().has_waiting(cpu) { Break(Stop::Preempted) } else { Continue(()) }
            }
            Exit::Interrupt => interrupts(loaded_core(board, core), shared, cpu),
            Exit::Fatal(fault) => Break(Stop::Crashed(fault)),
        };
        if let Break(stop) = flow {
            return stop;
        }
    }
}

/// Takes every interrupt that waits; those for the loaded vCPU go to its board.
fn interrupts<P: Platform>(
    mut to_guest: impl FnMut(HostEvent),
    shared: &Shared<P>,
    cpu: usize,
) -> ControlFlow<Stop> {
    let mut flow = Continue(());
    while let Some(event) = shared.platform().next_event() {
        match event {
            // Whoever kicked has left a flag or an event, which the loop looks at first.
            HostEvent::Kick => {}
            HostEvent::Timer => flow = Break(Stop::Preempted),
            HostEvent::Console => {
                shared.flag(cpu, HOST_WORK);
                flow = Break(Stop::Preempted);
            }
            HostEvent::GuestTimer | HostEvent::GuestInterruptController => to_guest(event),
            HostEvent::Spurious(number) => log::warn!("spurious interrupt {number} on CPU {cpu}"),
        }
    }
    flow
}

fn loaded_core<'a, P: Platform>(
    board: &'a P::Board,
    core: &'a mut crate::slot::Core<P>,
) -> impl FnMut(HostEvent) + 'a {
    |event| board.host_event(event, core)
}
