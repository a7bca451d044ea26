//! What becomes of each exit that only x86 has.

use super::control::{self, Code, Protection, State};
use super::cpu::PcCpu;
use super::cpuid::VcpuState;
use super::devices::{Devices, Now};
use super::emulate::{Outcome, RegisterAccess};
use super::{APIC_PAGE_BYTES, Pc, PcPlatform};
use crate::bus::Reply;
use crate::irqchip::lapic::{Effect, GeneralProtection};
use crate::pc_map;
use crate::run::Stop;
use crate::slot::Core;
use crate::vm::Vm;
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::arch::x86_64::event::{Event, EventKind};
use hv_core::arch::x86_64::exit::{
    ArchExit, ControlAccess, DebugAccess, Direction, Exception, MemoryAccess, StringPort, Undecoded,
};
use hv_core::arch::x86_64::register::{Segment, SegmentName, SystemRegister, cr0, cr4, general};
use hv_core::exit::{Access, Fault, FaultKind, Op};
use hv_core::guest::{GuestPhysAddr, Space};
use hv_core::vcpu::GuestCpu;

/// What exits are counted as.
pub(super) const NAMES: &[&str] = &[
    "cpuid",
    "hypercall",
    "msr",
    "control",
    "memory",
    "strings",
    "window",
    "exception",
    "refused",
    "host",
    "other",
];

/// The index of an exit in [`NAMES`].
pub(super) fn index(exit: &ArchExit) -> usize {
    match exit {
        ArchExit::Cpuid => 0,
        ArchExit::Hypercall => 1,
        ArchExit::ReadMsr(_) | ArchExit::WriteMsr { .. } => 2,
        ArchExit::Control(_)
        | ArchExit::Debug(_)
        | ArchExit::Undecoded(_)
        | ArchExit::Xsetbv { .. } => 3,
        ArchExit::Memory(_)
        | ArchExit::ApicAccess(_)
        | ArchExit::ApicWritten(_)
        | ArchExit::EndOfInterrupt(_)
        | ArchExit::TaskPriority => 4,
        ArchExit::StringPort(_) => 5,
        ArchExit::InterruptWindow | ArchExit::NmiWindow => 6,
        ArchExit::Exception(_) => 7,
        ArchExit::Undefined | ArchExit::Protected => 8,
        ArchExit::SliceEnd
        | ArchExit::Nmi
        | ArchExit::MachineCheck
        | ArchExit::Init
        | ArchExit::Startup(_) => 9,
        ArchExit::TripleFault | ArchExit::TaskSwitch(_) | ArchExit::CacheFlush => 10,
    }
}

/// KVM's answers to calls that it does not know, and to calls of programs (Linux, include/uapi/linux/kvm_para.h).
const UNKNOWN_CALL: i64 = -1000;
const NOT_PERMITTED: i64 = -1;

impl<P: PcPlatform> Pc<P> {
    #[inline(always)]
    pub(super) fn exit(&self, exit: ArchExit, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        match exit {
            ArchExit::Cpuid => self.cpuid(core),
            ArchExit::Hypercall => hypercall(core),
            ArchExit::ReadMsr(index) => self.read_msr(index, core),
            ArchExit::WriteMsr { index, value } => self.write_msr(index, value, core, vm),
            ArchExit::Memory(access) => self.memory(access, core, vm),
            ArchExit::InterruptWindow | ArchExit::NmiWindow => self.window_opened(core),
            ArchExit::Control(access) => self.control(access, core),
            ArchExit::Debug(access) => debug(access, core),
            ArchExit::Undecoded(exit) => self.undecoded(exit, core, vm),
            ArchExit::Xsetbv { index, value } => self.set_xcr(index, value, core),
            ArchExit::StringPort(access) => self.string_port(access, core, vm),
            ArchExit::CacheFlush => conclude(Ok(()), core),
            ArchExit::Undefined => raise(Event::UNDEFINED, core),
            ArchExit::Protected => raise(Event::PROTECTION, core),
            ArchExit::Exception(exception) => reflect(exception, core),
            ArchExit::SliceEnd => Break(Stop::Preempted),
            ArchExit::Nmi | ArchExit::MachineCheck | ArchExit::Init | ArchExit::Startup(_) => {
                hosts(exit, core)
            }
            ArchExit::TaskPriority => self.settle_apic(core),
            ArchExit::ApicAccess(access) => {
                let addr = u64::from(pc_map::LOCAL_APIC) + u64::from(access.offset);
                let direction = access.direction;
                let access = MemoryAccess { addr: GuestPhysAddr(addr), linear: None, direction };
                self.memory(access, core, vm)
            }
            ArchExit::TripleFault => crash(FaultKind::TripleFault, None, core),
            ArchExit::TaskSwitch(_) => crash(FaultKind::TaskSwitch, None, core),
            // Nobody has the hardware keep a local APIC's page.
            ArchExit::ApicWritten(_) | ArchExit::EndOfInterrupt(_) => {
                crash(FaultKind::Unexpected, Some(format!("{exit:?}")), core)
            }
        }
    }

    #[inline]
    fn cpuid(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        let leaf = core.cpu.general(general::RAX) as u32;
        let subleaf = core.cpu.general(general::RCX) as u32;
        let mut vcpu = VcpuState { apic_id: core.index.into(), cr4: 0, xcr0: 0 };
        if matches!(leaf, 1 | 0xd) {
            vcpu.cr4 = core.cpu.system(SystemRegister::Cr4);
            vcpu.xcr0 = core.cpu.system(SystemRegister::Xcr0);
        }
        let answer = self.cpuid.answer(leaf, subleaf, &vcpu);
        core.cpu.set_general(general::RAX, answer.eax.into());
        core.cpu.set_general(general::RBX, answer.ebx.into());
        core.cpu.set_general(general::RCX, answer.ecx.into());
        core.cpu.set_general(general::RDX, answer.edx.into());
        core.cpu.finish();
        Continue(())
    }

    /// The task priority is lower than it was.
    fn settle_apic(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        match self.port(core) {
            Some(port) => self.settle(Effect::None, port, core),
            None => Continue(()),
        }
    }

    #[inline(never)]
    fn control(&self, access: ControlAccess, core: &mut Core<P>) -> ControlFlow<Stop> {
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
    fn set_xcr(&self, index: u32, value: u64, core: &mut Core<P>) -> ControlFlow<Stop> {
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

    #[inline(never)]
    fn undecoded(&self, exit: Undecoded, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        let Core { cpu, private, .. } = &mut *core;
        match private.emulator.register_access(exit, cpu, vm.ram()) {
            Ok(RegisterAccess::Control(access)) => self.control(access, core),
            Ok(RegisterAccess::Debug(access)) => debug(access, core),
            Err(outcome) => follow(outcome, GuestPhysAddr(0), core),
        }
    }

    /// An access to what is not RAM.
    #[inline(never)]
    fn memory(&self, access: MemoryAccess, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        let mut around = self.around(core, vm);
        let Core { cpu, private, .. } = &mut *core;
        let outcome =
            private.emulator.memory(access, cpu, vm.ram(), |access| around.access(access));
        let (stop, apic) = (around.stop, around.apic);
        self.finish_access(outcome, access.addr, stop, apic, core)
    }

    #[inline(never)]
    fn string_port(&self, access: StringPort, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        let mut around = self.around(core, vm);
        let Core { cpu, private, .. } = &mut *core;
        let outcome =
            private.emulator.string_port(access, cpu, vm.ram(), |access| around.access(access));
        let (stop, apic) = (around.stop, around.apic);
        self.finish_access(outcome, GuestPhysAddr(access.port.into()), stop, apic, core)
    }

    fn around<'a>(&'a self, core: &Core<P>, vm: &'a Vm<P>) -> Around<'a, P> {
        let (index, now) = (core.index, self.now(core));
        Around { pc: self, vm, index, now, stop: None, apic: Apic::Untouched }
    }

    #[inline]
    fn finish_access(
        &self,
        outcome: Outcome,
        addr: GuestPhysAddr,
        stop: Option<Stop>,
        apic: Apic,
        core: &mut Core<P>,
    ) -> ControlFlow<Stop> {
        follow(outcome, addr, core)?;
        if let Some(stop) = stop {
            return Break(stop);
        }
        match (apic, self.port(core)) {
            (Apic::Used, Some(port)) => {
                core.private.apic_deadline =
                    Now::host_at(core.private.behind_ns, port.apic().lock().next_deadline());
                self.settle(Effect::None, port, core)
            }
            (Apic::Used | Apic::Untouched, _) => self.rearm(core),
        }
    }
}

/// Whether an instruction has used the vCPU's own local APIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Apic {
    Untouched,
    Used,
}

/// What an emulated instruction reaches, and what came of that.
struct Around<'a, P: PcPlatform> {
    pc: &'a Pc<P>,
    vm: &'a Vm<P>,
    index: u8,
    now: Now,
    stop: Option<Stop>,
    apic: Apic,
}

impl<P: PcPlatform> Around<'_, P> {
    fn access(&mut self, access: Access) -> u64 {
        if access.space == Space::Mmio
            && let Some(value) = self.local_apic(access)
        {
            return value;
        }
        let devices = &self.pc.devices;
        let reply = match access.space {
            Space::Mmio => devices.memory(access, self.now),
            Space::Port => {
                let reply = devices.port(access, self.now);
                if Devices::<P>::has_deadline(access.addr.0 as u16) {
                    self.pc.find_deadline(self.now.behind_ns);
                }
                reply
            }
        };
        match reply {
            Reply::Value(value) => value,
            Reply::Done => 0,
            Reply::NoDevice => {
                self.vm.note_bad_access(access.addr);
                access.width.ones()
            }
            Reply::Ends(stop) => {
                self.stop = Some(stop);
                0
            }
        }
    }

    /// An access to the page of the vCPU's own local APIC.
    fn local_apic(&mut self, access: Access) -> Option<u64> {
        let port = self.pc.apics.port(self.index)?;
        let mut apic = port.apic().lock();
        let offset = access.addr.0.checked_sub(apic.page()?.0)?;
        if offset >= APIC_PAGE_BYTES {
            return None;
        }
        self.apic = Apic::Used;
        let guest = self.now.guest();
        let effect = match access.op {
            Op::Read => return Some(apic.read_page(offset, access.width, guest)),
            Op::Write(value) => apic.write_page(offset, access.width, value, guest),
        };
        drop(apic);
        self.pc.pass_on(effect, self.index);
        Some(0)
    }
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

#[inline]
fn hypercall<P: PcPlatform>(core: &mut Core<P>) -> ControlFlow<Stop> {
    let answer = if core.cpu.privilege() == 0 { UNKNOWN_CALL } else { NOT_PERMITTED };
    core.cpu.set_general(general::RAX, answer.cast_unsigned());
    core.cpu.finish();
    Continue(())
}

/// MOV to and from debug registers (SDM vol. 3B, 18.2). Where the CPU keeps them, there is no such exit.
#[inline(never)]
fn debug<P: PcPlatform>(access: DebugAccess, core: &mut Core<P>) -> ControlFlow<Stop> {
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

/// An exception that was intercepted, and that the guest is to have all the same.
#[inline(never)]
fn reflect<P: PcPlatform>(exception: Exception, core: &mut Core<P>) -> ControlFlow<Stop> {
    const DEBUG: u8 = 1;
    const PAGE_FAULT: u8 = 14;
    let Exception { vector, error_code, detail } = exception;
    match vector {
        DEBUG => {
            let dr6 = core.cpu.system(SystemRegister::Dr6);
            core.cpu.set_system(SystemRegister::Dr6, dr6 | detail);
        }
        PAGE_FAULT => core.cpu.set_system(SystemRegister::Cr2, detail),
        _ => {}
    }
    raise(Event { vector, kind: EventKind::Exception, error_code }, core)
}

/// What concerns the host, and came while the guest ran.
#[cold]
fn hosts<P: PcPlatform>(exit: ArchExit, core: &Core<P>) -> ControlFlow<Stop> {
    log::warn!("{exit:?} while vCPU {} ran", core.index);
    Continue(())
}

/// Does what an emulated instruction came to.
#[inline]
fn follow<P: PcPlatform>(
    outcome: Outcome,
    addr: GuestPhysAddr,
    core: &mut Core<P>,
) -> ControlFlow<Stop> {
    match outcome {
        Outcome::Done | Outcome::Retry => Continue(()),
        Outcome::Fault(event) => raise(event, core),
        Outcome::Unknown(instruction) => {
            crash(FaultKind::Undecodable(addr), Some(format!("{instruction}")), core)
        }
        Outcome::TableWalk(addr) => crash(FaultKind::TableWalk(addr), None, core),
    }
}

#[cold]
fn crash<P: PcPlatform>(
    kind: FaultKind,
    detail: Option<String>,
    core: &mut Core<P>,
) -> ControlFlow<Stop> {
    core.fault = Some(Fault { kind, syndrome: 0 });
    core.detail = detail;
    Break(Stop::Crashed)
}

fn raise<P: PcPlatform>(event: Event, core: &mut Core<P>) -> ControlFlow<Stop> {
    core.cpu.inject(event);
    Continue(())
}

/// #GP(0) at the instruction.
pub(super) fn protect<P: PcPlatform>(core: &mut Core<P>) {
    core.cpu.inject(Event::PROTECTION);
}

/// Steps over the instruction, or raises #GP(0) at it.
#[inline]
pub(super) fn conclude<P: PcPlatform>(
    done: Result<(), GeneralProtection>,
    core: &mut Core<P>,
) -> ControlFlow<Stop> {
    match done {
        Ok(()) => core.cpu.finish(),
        Err(GeneralProtection) => protect(core),
    }
    Continue(())
}
