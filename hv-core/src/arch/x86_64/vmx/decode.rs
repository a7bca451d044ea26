//! Why the guest left VMX non-root operation: from the fields of the VMCS to an [`Exit`]. Intel SDM vol. 3C, 25.9 and 28.2.
//!
//! Pure, so that any host tests it. Fields are asked for one by one, so that an exit reads only those that it needs.
//!
//! Which exits can occur follows from the controls that are set: those whose control stays clear
//! are fatal to the VM, never to the host.

use super::field::Field;
use super::reason::{ENTRY_FAILURE, Reason};
use crate::arch::x86_64::exit::{
    ApicAccess, ArchExit, ControlAccess, DebugAccess, Direction, Exception, MemoryAccess, Repeat,
    StringPort, TaskSource, TaskSwitch,
};
use crate::exit::{Access, Exit, Fault, FaultKind, Op};
use crate::guest::{GuestPhysAddr, Space, Width};

/// Interprets an exit that comes often, and leaves others to `rare`: the compiler leads each of these straight to its arm in the
/// exit loop if the operands of all others are out of the way. `read` reads a field of the VMCS, `general` a general register by its number in
/// encodings: 0 RAX, 1 RCX, 2 RDX.
#[inline(always)]
pub fn decode_frequent(
    reason: u32,
    read: impl Fn(Field) -> u64 + Copy,
    general: impl Fn(u8) -> u64 + Copy,
    rare: impl FnOnce() -> Exit<ArchExit>,
) -> Exit<ArchExit> {
    const INTERRUPT: u32 = Reason::ExternalInterrupt as u32;
    const CPUID: u32 = Reason::Cpuid as u32;
    const HLT: u32 = Reason::Hlt as u32;
    const VMCALL: u32 = Reason::Vmcall as u32;
    const IO: u32 = Reason::Io as u32;
    const RDMSR: u32 = Reason::Rdmsr as u32;
    const WRMSR: u32 = Reason::Wrmsr as u32;
    const PAUSE: u32 = Reason::Pause as u32;
    const EPT_VIOLATION: u32 = Reason::EptViolation as u32;
    let index = || general(1) as u32;
    let wide = || general(2) << 32 | general(0) & 0xffff_ffff;
    match reason {
        INTERRUPT => Exit::Interrupt,
        CPUID => Exit::Arch(ArchExit::Cpuid),
        HLT => Exit::Idle,
        VMCALL => Exit::Arch(ArchExit::Hypercall),
        RDMSR => Exit::Arch(ArchExit::ReadMsr(index())),
        WRMSR => Exit::Arch(ArchExit::WriteMsr { index: index(), value: wide() }),
        PAUSE => Exit::Yield,
        IO => {
            let qualification = read(Field::Qualification);
            if qualification & STRING != 0 {
                return rare();
            }
            Exit::Device(port(qualification, general))
        }
        EPT_VIOLATION => {
            let qualification = read(Field::Qualification);
            if qualification & (FETCH | ALLOWED | LINEAR | ITSELF | IRET) != LINEAR | ITSELF {
                return rare();
            }
            Exit::Arch(ArchExit::Memory(memory(qualification, read)))
        }
        _ => rare(),
    }
}

#[inline(always)]
fn memory(qualification: u64, read: impl Fn(Field) -> u64) -> MemoryAccess {
    MemoryAccess {
        addr: GuestPhysAddr(read(Field::GuestPhysicalAddress)),
        linear: Some(read(Field::GuestLinearAddress)),
        direction: if qualification & WRITE != 0 { Direction::Write } else { Direction::Read },
    }
}

/// Interprets any other exit.
pub fn decode_rare(
    reason: u32,
    read: impl Fn(Field) -> u64 + Copy,
    general: impl Fn(u8) -> u64 + Copy,
) -> Exit<ArchExit> {
    if reason & ENTRY_FAILURE != 0 {
        return unexpected(reason, read);
    }
    let Some(basic) = Reason::from_number(reason as u16) else {
        return unexpected(reason, read);
    };
    let qualification = || read(Field::Qualification);
    Exit::Arch(match basic {
        Reason::Io => ArchExit::StringPort(string_port(read)),
        Reason::EptViolation => return ept_violation(reason, read),
        Reason::InterruptWindow => ArchExit::InterruptWindow,
        Reason::Exception => return exception(reason, read),
        Reason::PreemptionTimer => ArchExit::SliceEnd,
        Reason::ControlRegister => ArchExit::Control(control(qualification())),
        Reason::MovDr => ArchExit::Debug(debug(qualification())),
        Reason::Xsetbv => {
            let value = general(2) << 32 | general(0) & 0xffff_ffff;
            ArchExit::Xsetbv { index: general(1) as u32, value }
        }
        Reason::TripleFault => ArchExit::TripleFault,
        Reason::Init => ArchExit::Init,
        Reason::Startup => ArchExit::Startup(qualification() as u8),
        Reason::NmiWindow => ArchExit::NmiWindow,
        Reason::TaskSwitch => ArchExit::TaskSwitch(task_switch(qualification())),
        Reason::TprBelowThreshold => ArchExit::TaskPriority,
        Reason::ApicAccess => match apic_access(qualification()) {
            Some(access) => ArchExit::ApicAccess(access),
            None => return unexpected(reason, read),
        },
        Reason::ApicWrite => ArchExit::ApicWritten((qualification() & 0xfff) as u16),
        Reason::VirtualizedEoi => ArchExit::EndOfInterrupt(qualification() as u8),
        Reason::Invd | Reason::Wbinvd => ArchExit::CacheFlush,
        // CR4.PCE cannot be set, and what counts is not virtualized.
        Reason::Rdpmc => ArchExit::Protected,
        // None of these is in the guest's CPUID, so that hardware without it would raise #UD, too.
        Reason::Vmclear
        | Reason::Vmlaunch
        | Reason::Vmptrld
        | Reason::Vmptrst
        | Reason::Vmread
        | Reason::Vmresume
        | Reason::Vmwrite
        | Reason::Vmxoff
        | Reason::Vmxon
        | Reason::Invept
        | Reason::Invvpid
        | Reason::Vmfunc
        | Reason::Getsec
        | Reason::Monitor
        | Reason::Mwait
        | Reason::Encls
        | Reason::Enclv
        | Reason::Pconfig
        | Reason::Loadiwkey
        | Reason::Seamcall
        | Reason::Tdcall
        | Reason::Rdmsrlist
        | Reason::Wrmsrlist => ArchExit::Undefined,
        // The first seven are decided before. The control that makes the others exit stays clear; SMIs and RSM exit under dual-monitor treatment only; entry
        // failures have bit 31 set; a misconfigured EPT is our own mistake.
        Reason::ExternalInterrupt
        | Reason::Cpuid
        | Reason::Hlt
        | Reason::Vmcall
        | Reason::Rdmsr
        | Reason::Wrmsr
        | Reason::Pause
        | Reason::IoSmi
        | Reason::OtherSmi
        | Reason::Rsm
        | Reason::Invlpg
        | Reason::Rdtsc
        | Reason::Rdtscp
        | Reason::EntryGuestState
        | Reason::EntryMsrLoading
        | Reason::EntryMachineCheck
        | Reason::MonitorTrapFlag
        | Reason::GdtrIdtr
        | Reason::LdtrTr
        | Reason::EptMisconfiguration
        | Reason::Rdrand
        | Reason::Rdseed
        | Reason::Invpcid
        | Reason::PageModificationLogFull
        | Reason::Xsaves
        | Reason::Xrstors
        | Reason::SubPagePermission
        | Reason::Umwait
        | Reason::Tpause
        | Reason::EnqcmdPasid
        | Reason::EnqcmdsPasid
        | Reason::BusLock
        | Reason::InstructionTimeout => return unexpected(reason, read),
    })
}

#[cold]
fn unexpected(reason: u32, read: impl Fn(Field) -> u64) -> Exit<ArchExit> {
    fatal(FaultKind::Unexpected, reason, read(Field::Qualification))
}

/// The syndrome of a fault: the exit reason in bits 63:32, below it what of the qualification fits.
#[cold]
fn fatal(kind: FaultKind, reason: u32, qualification: u64) -> Exit<ArchExit> {
    Exit::Fatal(Fault { kind, syndrome: u64::from(reason) << 32 | qualification & 0xffff_ffff })
}

/// The exit qualification of an I/O instruction (table 28-5): IN or INS.
pub const IN: u64 = 1 << 3;
/// INS or OUTS.
const STRING: u64 = 1 << 4;

/// Table 28-5: size 2:0, direction 3, string 4, REP 5, port 31:16.
#[inline(always)]
fn port(qualification: u64, general: impl Fn(u8) -> u64) -> Access {
    let width = io_width(qualification);
    let op = if qualification & IN != 0 { Op::Read } else { Op::Write(general(0) & width.ones()) };
    Access { space: Space::Port, addr: GuestPhysAddr(qualification >> 16 & 0xffff), width, op }
}

/// The width of an access to a port: what is encoded is one less.
#[inline(always)]
#[must_use]
pub const fn io_width(qualification: u64) -> Width {
    match qualification & 7 {
        0 => Width::B1,
        1 => Width::B2,
        _ => Width::B4,
    }
}

/// Table 28-8: address size 9:7, segment 17:15, which is defined for OUTS only; INS always writes to ES.
fn string_port(read: impl Fn(Field) -> u64) -> StringPort {
    const REP: u64 = 1 << 5;
    let qualification = read(Field::Qualification);
    let information = read(Field::InstructionInformation);
    let is_read = qualification & IN != 0;
    StringPort {
        port: (qualification >> 16) as u16,
        width: io_width(qualification),
        direction: if is_read { Direction::Read } else { Direction::Write },
        repeat: if qualification & REP != 0 { Repeat::Counted } else { Repeat::Once },
        address_width: match information >> 7 & 7 {
            0 => Some(Width::B2),
            1 => Some(Width::B4),
            2 => Some(Width::B8),
            _ => None,
        },
        segment: Some(if is_read { 0 } else { (information >> 15 & 7) as u8 }),
    }
}

// Table 28-7, the exit qualification of an EPT violation: whether it was a write or a fetch, what the tables allow, whether
// the linear address is valid, and whether it is the access itself that failed, not the walk to it.
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 2;
const ALLOWED: u64 = 0b111 << 3;
const LINEAR: u64 = 1 << 7;
const ITSELF: u64 = 1 << 8;
/// The exit interrupted an IRET, which has ended the blocking of NMIs already (28.2.3): here, and in the interruption information
/// of an exception.
pub const IRET: u64 = 1 << 12;

/// One that is not for a device, or comes in an IRET.
fn ept_violation(reason: u32, read: impl Fn(Field) -> u64) -> Exit<ArchExit> {
    let qualification = read(Field::Qualification);
    let addr = GuestPhysAddr(read(Field::GuestPhysicalAddress));
    let kind = match qualification {
        // Without a linear address it is the load of PDPTEs, or a trace of the processor.
        _ if qualification & (LINEAR | ITSELF) != LINEAR | ITSELF => FaultKind::TableWalk(addr),
        _ if qualification & FETCH != 0 => FaultKind::Fetch(addr),
        _ if qualification & ALLOWED != 0 => FaultKind::Protected(addr),
        _ => return Exit::Arch(ArchExit::Memory(memory(qualification, read))),
    };
    fatal(kind, reason, qualification)
}

/// 25.9.2: vector 7:0, type 10:8, error code valid 11, valid 31.
fn exception(reason: u32, read: impl Fn(Field) -> u64) -> Exit<ArchExit> {
    const ERROR_CODE: u64 = 1 << 11;
    const VALID: u64 = 1 << 31;
    const MACHINE_CHECK: u8 = 18;
    let information = read(Field::Interruption);
    let vector = information as u8;
    Exit::Arch(match information >> 8 & 7 {
        _ if information & VALID == 0 => return unexpected(reason, read),
        2 => ArchExit::Nmi,
        3 if vector == MACHINE_CHECK => ArchExit::MachineCheck,
        3 | 5 | 6 => {
            let has_code = information & ERROR_CODE != 0;
            let error_code = has_code.then(|| read(Field::InterruptionErrorCode) as u32);
            ArchExit::Exception(Exception {
                vector,
                error_code,
                detail: read(Field::Qualification),
            })
        }
        _ => return unexpected(reason, read),
    })
}

/// Table 28-3: register 3:0, kind 5:4, general register 11:8, operand of LMSW 31:16.
fn control(qualification: u64) -> ControlAccess {
    let register = (qualification & 0xf) as u8;
    let general = (qualification >> 8 & 0xf) as u8;
    let moved = |direction| ControlAccess::Move { register, general, direction };
    match qualification >> 4 & 3 {
        0 => moved(Direction::Write),
        1 => moved(Direction::Read),
        2 => ControlAccess::ClearTaskSwitched,
        _ => ControlAccess::LoadStatusWord((qualification >> 16) as u16),
    }
}

/// Table 28-4: register 2:0, direction 4, general register 11:8.
fn debug(qualification: u64) -> DebugAccess {
    DebugAccess {
        register: (qualification & 7) as u8,
        general: (qualification >> 8 & 0xf) as u8,
        direction: if qualification & 1 << 4 != 0 { Direction::Read } else { Direction::Write },
    }
}

/// Table 28-2: selector 15:0, source 31:30.
fn task_switch(qualification: u64) -> TaskSwitch {
    let source = match qualification >> 30 & 3 {
        0 => TaskSource::Call,
        1 => TaskSource::Iret,
        2 => TaskSource::Jump,
        _ => TaskSource::Gate,
    };
    TaskSwitch { selector: qualification as u16, source }
}

/// Table 28-6: offset 11:0, kind 15:12. Fetches, and accesses in the delivery of an event or the walk of a table, are
/// nothing that a guest in its right mind does to its APIC.
fn apic_access(qualification: u64) -> Option<ApicAccess> {
    let direction = match qualification >> 12 & 0xf {
        0 => Direction::Read,
        1 => Direction::Write,
        _ => return None,
    };
    Some(ApicAccess { offset: (qualification & 0xfff) as u16, direction })
}

#[cfg(test)]
mod tests;
