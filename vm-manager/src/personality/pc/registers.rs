//! MOV to and from control and debug registers, and what else changes them.

use super::control::{self, Code, Protection, State};
use super::cpu::PcCpu;
use super::exits::{conclude, protect, raise};
use super::{Pc, PcPlatform};
use crate::irqchip::lapic::Effect;
use crate::run::Stop;
use crate::slot::Core;
use core::ops::ControlFlow::{self, Continue};
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::{ControlAccess, DebugAccess, Direction};
use hv_core::arch::x86_64::register::{Segment, SegmentName, SystemRegister, cr0, cr4};
use hv_core::vcpu::GuestCpu;

impl<P: PcPlatform> Pc<P> {
    #[inline(never)]
    pub(super) fn control(&self, access: ControlAccess, core: &mut Core<P>) -> ControlFlow<Stop> {
        match access {
            ControlAccess::Move { register: 8, general, direction } => {
                self.task_priority(general, direction, core)
            }
            ControlAccess::Move { register, general, direction: Direction::Read } => {
                let Some(name) = control_register(register) else {
                    return raise(Event::UNDEFINED, core);
                };
                let value = core.cpu.system(name);
                core.cpu.set_general(general, value);
                conclude(Ok(()), core)
            }
            ControlAccess::Move { register, general, direction: Direction::Write } => {
                let state = control_state(&core.cpu);
                let value = core.cpu.general(general);
                let value = match state.code {
                    Code::Long => value,
                    Code::Narrow => value & 0xffff_ffff,
                };
                self.set_control(register, value, &state, core)
            }
            ControlAccess::ClearTaskSwitched => {
                let state = control_state(&core.cpu);
                self.set_control(0, state.cr0 & !cr0::TS, &state, core)
            }
            ControlAccess::LoadStatusWord(word) => {
                let state = control_state(&core.cpu);
                self.set_control(0, control::load_status_word(word, state.cr0), &state, core)
            }
        }
    }

    fn set_control(
        &self,
        register: u8,
        value: u64,
        state: &State,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        let Some(name) = control_register(register) else { return raise(Event::UNDEFINED, core) };
        let new = match register {
            0 => self.offered.cr0(value, state),
            3 => self.offered.cr3(value, state),
            4 => self.offered.cr4(value, state),
            _ => Ok(value),
        };
        match new {
            Ok(new) => {
                // Stepped over first: where it is done by decoding, that is in the mode in which the instruction ran.
                core.cpu.finish();
                core.cpu.set_system(name, new);
            }
            Err(Protection) => protect(core),
        }
        Continue(())
    }

    /// CR8: bits 7 to 4 of the task priority (SDM vol. 3A, 11.8.6).
    fn task_priority(
        &self,
        general: u8,
        direction: Direction,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        let Some(port) = self.port(core) else { return Continue(()) };
        match direction {
            Direction::Read => {
                let priority = port.apic().lock().task_priority() >> 4;
                core.cpu.set_general(general, priority.into());
                conclude(Ok(()), core)
            }
            Direction::Write => {
                let value = core.cpu.general(general);
                if value > 0xf {
                    return raise(Event::PROTECTION, core);
                }
                core.cpu.finish();
                port.apic().lock().set_task_priority((value as u8) << 4);
                self.settle(Effect::None, port, core)
            }
        }
    }

    #[inline(never)]
    pub(super) fn set_xcr(&self, index: u32, value: u64, core: &mut Core<P>) -> ControlFlow<Stop> {
        if core.cpu.system(SystemRegister::Cr4) & cr4::OSXSAVE == 0 {
            return raise(Event::UNDEFINED, core);
        }
        match self.offered.xcr0(index, value) {
            Ok(new) if core.cpu.privilege() == 0 => {
                core.cpu.finish();
                core.cpu.set_system(SystemRegister::Xcr0, new);
            }
            Ok(_) | Err(Protection) => protect(core),
        }
        Continue(())
    }
}

/// MOV to and from debug registers (SDM vol. 3B, 18.2). Where the CPU keeps them, there is no such exit.
#[inline(never)]
pub(super) fn debug<P: PcPlatform>(access: DebugAccess, core: &mut Core<P>) -> ControlFlow<Stop> {
    const DR6_ONES: u64 = 0xffff_0ff0;
    const DR6_WRITABLE: u64 = 0xe00f;
    const DR7_ONES: u64 = 1 << 10;
    const DR7_WRITABLE: u64 = 0xffff_2bff;
    let has_extensions = core.cpu.system(SystemRegister::Cr4) & 1 << 3 != 0;
    let register = match access.register {
        4 | 5 if has_extensions => return raise(Event::UNDEFINED, core),
        4 => 6,
        5 => 7,
        register => register,
    };
    match access.direction {
        Direction::Read => {
            let value = match register {
                6 => core.cpu.system(SystemRegister::Dr6),
                7 => core.cpu.system(SystemRegister::Dr7),
                _ => core.private.breakpoints.get(usize::from(register)).copied().unwrap_or(0),
            };
            core.cpu.set_general(access.general, value);
        }
        Direction::Write => {
            let value = core.cpu.general(access.general);
            match register {
                6 | 7 if value >> 32 != 0 => return raise(Event::PROTECTION, core),
                6 => core.cpu.set_system(SystemRegister::Dr6, value & DR6_WRITABLE | DR6_ONES),
                7 => core.cpu.set_system(SystemRegister::Dr7, value & DR7_WRITABLE | DR7_ONES),
                _ => {
                    if let Some(kept) = core.private.breakpoints.get_mut(usize::from(register)) {
                        *kept = value;
                    }
                }
            }
        }
    }
    conclude(Ok(()), core)
}

/// What the CPU's state says about which values control registers can have.
pub(super) fn control_state(cpu: &impl PcCpu) -> State {
    let is_long = cpu.segment(SegmentName::Cs).attributes & Segment::LONG != 0;
    State {
        cr0: cpu.system(SystemRegister::Cr0),
        cr3: cpu.system(SystemRegister::Cr3),
        cr4: cpu.system(SystemRegister::Cr4),
        efer: cpu.system(SystemRegister::Efer),
        code: if is_long { Code::Long } else { Code::Narrow },
    }
}

const fn control_register(number: u8) -> Option<SystemRegister> {
    Some(match number {
        0 => SystemRegister::Cr0,
        2 => SystemRegister::Cr2,
        3 => SystemRegister::Cr3,
        4 => SystemRegister::Cr4,
        _ => return None,
    })
}
