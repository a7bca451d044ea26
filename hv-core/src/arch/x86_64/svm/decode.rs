//! Why the guest left its CPU: from the fields of the VMCB to an [`Exit`]. AMD APM vol. 2, 15.7 to 15.10, 15.25.6.
//!
//! Pure, so that any host tests it. Which exits can occur follows from the intercepts that are set; those whose intercept
//! stays clear are fatal to the VM, never to the host.

use super::code::{Code, Named};
use crate::arch::x86_64::exit::{
    ArchExit, ControlAccess, DebugAccess, Direction, Exception, MemoryAccess, Repeat, StringPort,
    TaskSource, TaskSwitch, Undecoded,
};
use crate::exit::{Access, Exit, Fault, FaultKind, Op};
use crate::guest::{GuestPhysAddr, Space, Width};

/// What the VMCB says of an exit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Information {
    /// `EXITCODE`.
    pub code: u64,
    /// `EXITINFO1`.
    pub info1: u64,
    /// `EXITINFO2`.
    pub info2: u64,
}

/// Whether the CPU has decode assists, `CPUID 8000_000A` EDX 7: without them, EXITINFO1 says nothing of an access to a control
/// or debug register. QEMU 7.2 has none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecodeAssists {
    /// It has them.
    Present,
    /// It does not.
    Absent,
}

/// Interprets an exit that comes often, and leaves others to `rare`: the compiler leads each of these straight to its arm in the
/// exit loop if the operands of all others are out of the way. `general` gives a general register by its number in encodings: 0 RAX, 1 RCX,
/// 2 RDX.
#[inline(always)]
pub fn decode_frequent(
    information: Information,
    general: impl Fn(u8) -> u64 + Copy,
    rare: impl FnOnce() -> Exit<ArchExit>,
) -> Exit<ArchExit> {
    const INTERRUPT: u32 = Named::Interrupt as u32;
    const CPUID: u32 = Named::Cpuid as u32;
    const PAUSE: u32 = Named::Pause as u32;
    const HLT: u32 = Named::Hlt as u32;
    const IO: u32 = Named::Io as u32;
    const MSR: u32 = Named::Msr as u32;
    const VMMCALL: u32 = Named::Vmmcall as u32;
    const NESTED_PAGE_FAULT: u32 = Named::NestedPageFault as u32;
    let Information { code, info1, info2 } = information;
    let index = || general(1) as u32;
    let wide = || general(2) << 32 | general(0) & 0xffff_ffff;
    match code as u32 {
        INTERRUPT => Exit::Interrupt,
        CPUID => Exit::Arch(ArchExit::Cpuid),
        PAUSE => Exit::Yield,
        HLT => Exit::Idle,
        IO if info1 & STRING == 0 => Exit::Device(port(info1, general)),
        // EXITINFO1 is 1 for WRMSR (15.11).
        MSR if info1 & 1 == 0 => Exit::Arch(ArchExit::ReadMsr(index())),
        MSR => Exit::Arch(ArchExit::WriteMsr { index: index(), value: wide() }),
        VMMCALL => Exit::Arch(ArchExit::Hypercall),
        NESTED_PAGE_FAULT if info1 & NOT_FOR_A_DEVICE == 0 => {
            let direction = if info1 & WRITE != 0 { Direction::Write } else { Direction::Read };
            let addr = GuestPhysAddr(info2);
            Exit::Arch(ArchExit::Memory(MemoryAccess { addr, linear: None, direction }))
        }
        _ => rare(),
    }
}

/// Interprets any other exit.
pub fn decode_rare(
    information: Information,
    assists: DecodeAssists,
    general: impl Fn(u8) -> u64,
) -> Exit<ArchExit> {
    let Information { code, info1, info2 } = information;
    match Code::from_exit_code(code) {
        Some(Code::Other(named)) => other(named, information, assists, general),
        Some(Code::ControlRead(register)) => {
            Exit::Arch(control(register, Direction::Read, info1, assists))
        }
        Some(Code::ControlWrite(register)) => {
            Exit::Arch(control(register, Direction::Write, info1, assists))
        }
        Some(Code::DebugRead(register)) => {
            Exit::Arch(debug(register, Direction::Read, info1, assists))
        }
        Some(Code::DebugWrite(register)) => {
            Exit::Arch(debug(register, Direction::Write, info1, assists))
        }
        Some(Code::Exception(vector)) => Exit::Arch(exception(vector, info1, info2)),
        Some(Code::ControlWriteTrap(_)) | None => unexpected(information),
    }
}

fn other(
    named: Named,
    information: Information,
    assists: DecodeAssists,
    general: impl Fn(u8) -> u64,
) -> Exit<ArchExit> {
    let Information { info1, info2, .. } = information;
    Exit::Arch(match named {
        Named::Io => ArchExit::StringPort(string_port(info1)),
        Named::NestedPageFault => return nested_page_fault(information),
        Named::IdleHlt => return Exit::Idle,
        Named::VirtualInterrupt => ArchExit::InterruptWindow,
        Named::Xsetbv => {
            let value = general(2) << 32 | general(0) & 0xffff_ffff;
            ArchExit::Xsetbv { index: general(1) as u32, value }
        }
        Named::Cr0Selective => control(0, Direction::Write, info1, assists),
        Named::Nmi => ArchExit::Nmi,
        Named::Init => ArchExit::Init,
        // The guest is about to leave its NMI handler (15.21.5).
        Named::Iret => ArchExit::NmiWindow,
        Named::Shutdown => ArchExit::TripleFault,
        Named::TaskSwitch => ArchExit::TaskSwitch(task_switch(info1, info2)),
        Named::Invd | Named::Wbinvd => ArchExit::CacheFlush,
        // CR4.PCE cannot be set, and what counts is not virtualized.
        Named::Rdpmc => ArchExit::Protected,
        // None of these is in the guest's CPUID, so that hardware without it would raise #UD, too. RSM is undefined
        // outside of SMM, and a guest has none.
        Named::Vmrun
        | Named::Vmload
        | Named::Vmsave
        | Named::Stgi
        | Named::Clgi
        | Named::Skinit
        | Named::Invlpga
        | Named::Invlpgb
        | Named::InvlpgbIllegal
        | Named::Tlbsync
        | Named::Mcommit
        | Named::Monitor
        | Named::Mwait
        | Named::MwaitConditional
        | Named::Rdpru
        | Named::Rsm => ArchExit::Undefined,
        // The first six are decided before; the intercept of the others stays clear (RDTSC with them: on QEMU 7.2 it would stand for RDTSCP, too, with another
        // length); AVIC and SEV-ES are not used; an invalid VMCB is our own mistake.
        Named::Interrupt
        | Named::Cpuid
        | Named::Pause
        | Named::Hlt
        | Named::Msr
        | Named::Vmmcall
        | Named::Smi
        | Named::IdtrRead
        | Named::GdtrRead
        | Named::LdtrRead
        | Named::TrRead
        | Named::IdtrWrite
        | Named::GdtrWrite
        | Named::LdtrWrite
        | Named::TrWrite
        | Named::Rdtsc
        | Named::Rdtscp
        | Named::Pushf
        | Named::Popf
        | Named::SoftwareInterrupt
        | Named::Invlpg
        | Named::Invpcid
        | Named::FerrFreeze
        | Named::Icebp
        | Named::EferWriteTrap
        | Named::BusLock
        | Named::AvicIncompleteIpi
        | Named::AvicNoAcceleration
        | Named::Vmgexit
        | Named::PageModificationLogFull
        | Named::IdleRequired
        | Named::Busy
        | Named::Invalid => return unexpected(information),
    })
}

#[cold]
fn unexpected(information: Information) -> Exit<ArchExit> {
    fatal(FaultKind::Unexpected, information)
}

/// The syndrome of a fault: the exit code in bits 63:32, below it what of `EXITINFO1` fits.
#[cold]
fn fatal(kind: FaultKind, information: Information) -> Exit<ArchExit> {
    let syndrome = information.code << 32 | information.info1 & 0xffff_ffff;
    Exit::Fatal(Fault { kind, syndrome })
}

/// EXITINFO1 of an I/O instruction: INS or OUTS.
const STRING: u64 = 1 << 2;
/// EXITINFO1 of an I/O instruction: IN or INS.
const IN: u64 = 1;

/// 15.10.2: IN 0, string 2, REP 3, sizes 6:4, address sizes 9:7, segment 12:10, port 31:16.
///
/// EXITINFO2 has the address of the next instruction, also on CPUs that save no nRIP.
#[inline(always)]
fn port(info1: u64, general: impl Fn(u8) -> u64) -> Access {
    let width = io_width(info1);
    let op = if info1 & IN != 0 { Op::Read } else { Op::Write(general(0) & width.ones()) };
    Access { space: Space::Port, addr: GuestPhysAddr(info1 >> 16 & 0xffff), width, op }
}

/// The width of an access to a port.
#[inline(always)]
#[must_use]
pub const fn io_width(info1: u64) -> Width {
    match info1 >> 4 & 7 {
        1 => Width::B1,
        2 => Width::B2,
        _ => Width::B4,
    }
}

fn string_port(info1: u64) -> StringPort {
    const REP: u64 = 1 << 3;
    let is_read = info1 & IN != 0;
    let address_width = match info1 >> 7 & 7 {
        1 => Some(Width::B2),
        2 => Some(Width::B4),
        4 => Some(Width::B8),
        _ => None,
    };
    StringPort {
        port: (info1 >> 16) as u16,
        width: io_width(info1),
        direction: if is_read { Direction::Read } else { Direction::Write },
        repeat: if info1 & REP != 0 { Repeat::Counted } else { Repeat::Once },
        address_width,
        // Where the address size is told, the segment is as well; INS always writes to ES.
        segment: match address_width {
            _ if is_read => Some(0),
            Some(_) => Some((info1 >> 10 & 7) as u8),
            None => None,
        },
    }
}

// 15.25.6: EXITINFO1 of a nested page fault is the error code, EXITINFO2 the address. FETCH comes only while the host has
// EFER.NXE set.
const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 4;
/// The walk of the guest's own tables.
const TABLE: u64 = 1 << 33;
const NOT_FOR_A_DEVICE: u64 = PRESENT | FETCH | TABLE;

/// One that is not for a device.
fn nested_page_fault(information: Information) -> Exit<ArchExit> {
    let Information { info1, info2, .. } = information;
    let addr = GuestPhysAddr(info2);
    let kind = match info1 {
        _ if info1 & TABLE != 0 => FaultKind::TableWalk(addr),
        _ if info1 & FETCH != 0 => FaultKind::Fetch(addr),
        _ => FaultKind::Protected(addr),
    };
    fatal(kind, information)
}

/// 15.8.1: with decode assists, EXITINFO1 has the general register in bits 3:0, and bit 63 set for MOV: else it is CLTS, LMSW or
/// SMSW, of which no more is told.
fn control(register: u8, direction: Direction, info1: u64, assists: DecodeAssists) -> ArchExit {
    const MOV: u64 = 1 << 63;
    if assists == DecodeAssists::Present && info1 & MOV != 0 {
        let general = (info1 & 0xf) as u8;
        return ArchExit::Control(ControlAccess::Move { register, general, direction });
    }
    ArchExit::Undecoded(match direction {
        Direction::Read => Undecoded::ControlRead(register),
        Direction::Write => Undecoded::ControlWrite(register),
    })
}

/// 15.8.1: with decode assists, EXITINFO1 has the general register in bits 3:0.
fn debug(register: u8, direction: Direction, info1: u64, assists: DecodeAssists) -> ArchExit {
    match (assists, direction) {
        (DecodeAssists::Present, _) => {
            ArchExit::Debug(DebugAccess { register, general: (info1 & 0xf) as u8, direction })
        }
        (DecodeAssists::Absent, Direction::Read) => {
            ArchExit::Undecoded(Undecoded::DebugRead(register))
        }
        (DecodeAssists::Absent, Direction::Write) => {
            ArchExit::Undecoded(Undecoded::DebugWrite(register))
        }
    }
}

/// 15.12: EXITINFO1 has the error code, if the exception has one; EXITINFO2 the address of a page fault.
fn exception(vector: u8, info1: u64, info2: u64) -> ArchExit {
    const DOUBLE_FAULT: u8 = 8;
    const ALIGNMENT: u8 = 17;
    const MACHINE_CHECK: u8 = 18;
    const CONTROL_PROTECTION: u8 = 21;
    const PAGE_FAULT: u8 = 14;
    match vector {
        MACHINE_CHECK => ArchExit::MachineCheck,
        // Vol. 2, 8.1: which exceptions have an error code; 29 and 30 are VMM communication and security.
        DOUBLE_FAULT | 10..=PAGE_FAULT | ALIGNMENT | CONTROL_PROTECTION | 29 | 30 => {
            let detail = if vector == PAGE_FAULT { info2 } else { 0 };
            ArchExit::Exception(Exception { vector, error_code: Some(info1 as u32), detail })
        }
        _ => ArchExit::Exception(Exception { vector, error_code: None, detail: 0 }),
    }
}

/// 15.14.1: EXITINFO1 has the selector; EXITINFO2 bit 36 says IRET, 38 a far jump. What pushes an error code has come
/// through a gate, bit 44; without one, a gate looks like a call, and EXITINTINFO tells them apart.
fn task_switch(info1: u64, info2: u64) -> TaskSwitch {
    const IRET: u64 = 1 << 36;
    const JUMP: u64 = 1 << 38;
    const ERROR_CODE: u64 = 1 << 44;
    let source = match info2 {
        _ if info2 & IRET != 0 => TaskSource::Iret,
        _ if info2 & JUMP != 0 => TaskSource::Jump,
        _ if info2 & ERROR_CODE != 0 => TaskSource::Gate,
        _ => TaskSource::Call,
    };
    TaskSwitch { selector: info1 as u16, source }
}

#[cfg(test)]
mod tests;
