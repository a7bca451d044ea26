//! What becomes of each exit that only x86 has.

use super::cpu::PcCpu;
use super::cpuid::{Leaf, VcpuState};
use super::emulate::{Outcome, RegisterAccess};
use super::{Pc, PcPlatform, registers};
use crate::irqchip::lapic::{Effect, GeneralProtection};
use crate::pc_map;
use crate::run::Stop;
use crate::slot::Core;
use crate::vm::Vm;
use alloc::format;
use alloc::string::String;
use core::ops::ControlFlow::{self, Break, Continue};
use hv_core::arch::x86_64::event::{Event, EventKind};
use hv_core::arch::x86_64::exit::{ArchExit, Exception, MemoryAccess, Undecoded};
use hv_core::arch::x86_64::register::{SystemRegister, general};
use hv_core::exit::{Fault, FaultKind};
use hv_core::guest::GuestPhysAddr;
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
    pub(super) fn exit(
        &self,
        exit: &ArchExit,
        core: &mut Core<P>,
        vm: &Vm<P>,
    ) -> ControlFlow<Stop> {
        match *exit {
            ArchExit::Cpuid => self.cpuid(core),
            ArchExit::Hypercall => hypercall(core),
            ArchExit::ReadMsr(index) => self.read_msr(index, core),
            ArchExit::WriteMsr { index, value } => self.write_msr(index, value, core, vm),
            ArchExit::Memory(access) => self.memory(access, core, vm),
            ArchExit::InterruptWindow | ArchExit::NmiWindow => self.window_opened(core),
            ArchExit::Control(access) => self.control(access, core),
            ArchExit::Debug(access) => registers::debug(access, core),
            ArchExit::Undecoded(exit) => self.undecoded(exit, core, vm),
            ArchExit::Xsetbv { index, value } => self.set_xcr(index, value, core),
            ArchExit::StringPort(access) => self.string_port(access, core, vm),
            ArchExit::CacheFlush => conclude(Ok(()), core),
            ArchExit::Undefined => raise(Event::UNDEFINED, core),
            ArchExit::Protected => raise(Event::PROTECTION, core),
            ArchExit::Exception(exception) => reflect(exception, core),
            ArchExit::SliceEnd => Break(Stop::Preempted),
            ArchExit::Nmi => hosts("NMI", core),
            ArchExit::MachineCheck => hosts("machine check", core),
            ArchExit::Init => hosts("INIT", core),
            ArchExit::Startup(_) => hosts("start-up", core),
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
            ArchExit::ApicWritten(offset) => {
                let detail = format!("the APIC page was written at {offset:#x}");
                crash(FaultKind::Unexpected, Some(detail), core)
            }
            ArchExit::EndOfInterrupt(vector) => {
                let detail = format!("interrupt {vector:#x} was ended");
                crash(FaultKind::Unexpected, Some(detail), core)
            }
        }
    }

    #[inline]
    fn cpuid(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        let leaf = core.cpu.general(general::RAX) as u32;
        let answer = match self.cpuid.fixed(leaf) {
            Some(answer) => *answer,
            None => self.cpuid_of_vcpu(leaf, core),
        };
        core.cpu.set_generals([
            (general::RAX, answer.eax.into()),
            (general::RBX, answer.ebx.into()),
            (general::RCX, answer.ecx.into()),
            (general::RDX, answer.edx.into()),
        ]);
        core.cpu.finish();
        Continue(())
    }

    /// An answer that depends on the subleaf, or on the vCPU.
    #[inline(never)]
    fn cpuid_of_vcpu(&self, leaf: u32, core: &Core<P>) -> Leaf {
        let subleaf = core.cpu.general(general::RCX) as u32;
        let vcpu = VcpuState {
            apic_id: core.index.into(),
            cr4: core.cpu.system(SystemRegister::Cr4),
            xcr0: core.cpu.system(SystemRegister::Xcr0),
        };
        self.cpuid.answer(leaf, subleaf, &vcpu)
    }

    /// The task priority is lower than it was.
    fn settle_apic(&self, core: &mut Core<P>) -> ControlFlow<Stop> {
        match self.port(core) {
            Some(port) => self.settle(Effect::None, port, core),
            None => Continue(()),
        }
    }

    #[inline(never)]
    fn undecoded(&self, exit: Undecoded, core: &mut Core<P>, vm: &Vm<P>) -> ControlFlow<Stop> {
        let Core { cpu, private, .. } = &mut *core;
        match private.emulator.register_access(exit, cpu, vm.ram()) {
            Ok(RegisterAccess::Control(access)) => self.control(access, core),
            Ok(RegisterAccess::Debug(access)) => registers::debug(access, core),
            Err(outcome) => follow(outcome, GuestPhysAddr(0), core),
        }
    }
}

#[inline]
fn hypercall<P: PcPlatform>(core: &mut Core<P>) -> ControlFlow<Stop> {
    let answer = if core.cpu.privilege() == 0 { UNKNOWN_CALL } else { NOT_PERMITTED };
    core.cpu.set_general(general::RAX, answer.cast_unsigned());
    core.cpu.finish();
    Continue(())
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
fn hosts<P: PcPlatform>(what: &str, core: &Core<P>) -> ControlFlow<Stop> {
    log::warn!("{what} of the host while vCPU {} ran", core.index);
    Continue(())
}

/// Does what an emulated instruction came to.
#[inline(always)]
pub(super) fn follow<P: PcPlatform>(
    outcome: Outcome,
    addr: GuestPhysAddr,
    core: &mut Core<P>,
) -> ControlFlow<Stop> {
    match outcome {
        Outcome::Done | Outcome::Retry => Continue(()),
        Outcome::Fault(_) | Outcome::Unknown(_) | Outcome::TableWalk(_) => {
            fail(outcome, addr, core)
        }
    }
}

/// The instruction is not done, and will not be.
#[cold]
fn fail<P: PcPlatform>(
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

/// Has the guest take an exception.
pub(super) fn raise<P: PcPlatform>(event: Event, core: &mut Core<P>) -> ControlFlow<Stop> {
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
