//! Why the guest left EL1: from the syndrome registers to an [`Exit`]. Arm ARM D19.2.40 (`ESR_EL2`).
//!
//! Pure, so that any host tests it.

use super::sysreg::SystemRegister;
use crate::exit::{Access, Exit, Fault, FaultKind, Op};
use crate::guest::{GuestPhysAddr, Space, Width};

/// Exits that only AArch64 has. Its tag is explicit for the same reason as that of [`Exit`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum ArchExit {
    /// HVC with this immediate; the function is in `x0`.
    Hvc(u16),
    /// SMC with this immediate; the function is in `x0`.
    Smc(u16),
    /// A trapped MSR or MRS.
    System(SystemAccess),
    /// An instruction that is not offered.
    Undefined,
}

/// A trapped access to a system register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemAccess {
    /// The register.
    pub register: SystemRegister,
    /// The general register that is written to it, or that it is read into; 31 is XZR.
    pub general: u8,
    /// MRS or MSR.
    pub direction: Direction,
}

/// The direction of a register access.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// MRS.
    Read,
    /// MSR.
    Write,
}

/// What the hardware said at an exit by the synchronous vector.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Syndrome {
    /// `ESR_EL2`.
    pub esr: u64,
    /// `FAR_EL2`: valid for aborts.
    pub far: u64,
    /// `HPFAR_EL2`: valid for stage-2 translation faults, and for faults in a stage-1 walk.
    pub hpfar: u64,
}

/// How the value of a device read gets into the destination register: ISS fields SRT, SSE, SF.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Load {
    /// The general register; 31 is XZR.
    pub general: u8,
    width: Width,
    extension: Extension,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Extension {
    Zero,
    SignTo32,
    SignTo64,
}

impl Load {
    /// How the read that this syndrome tells of is completed: of a device, or of a system register.
    #[inline]
    #[must_use]
    pub const fn from_esr(esr: u64) -> Self {
        if esr >> 26 & 0x3f != class::DATA_ABORT {
            let general = (esr >> 5 & 31) as u8;
            return Self { general, width: Width::B8, extension: Extension::Zero };
        }
        let extension = match (esr & SSE != 0, esr & SF != 0) {
            (false, _) => Extension::Zero,
            (true, false) => Extension::SignTo32,
            (true, true) => Extension::SignTo64,
        };
        Self { general: (esr >> 16 & 31) as u8, width: width(esr), extension }
    }

    /// What the destination holds after `value` was read.
    #[inline]
    #[must_use]
    pub fn extend(self, value: u64) -> u64 {
        let value = value & self.width.ones();
        let sign_extended = || {
            let unused = 64 - 8 * self.width as u32;
            ((value << unused).cast_signed() >> unused).cast_unsigned()
        };
        match self.extension {
            Extension::Zero => value,
            Extension::SignTo32 => sign_extended() & 0xffff_ffff,
            Extension::SignTo64 => sign_extended(),
        }
    }
}

/// Exception classes, `ESR_EL2.EC`.
mod class {
    pub(super) const UNKNOWN: u64 = 0x00;
    pub(super) const WFX: u64 = 0x01;
    pub(super) const CP15_MCR: u64 = 0x03;
    pub(super) const CP14_LDC: u64 = 0x06;
    pub(super) const FP: u64 = 0x07;
    pub(super) const CP10: u64 = 0x08;
    pub(super) const PAUTH: u64 = 0x09;
    pub(super) const LS64: u64 = 0x0a;
    pub(super) const CP14_MRRC: u64 = 0x0c;
    pub(super) const HVC64: u64 = 0x16;
    pub(super) const SMC64: u64 = 0x17;
    pub(super) const SYSTEM: u64 = 0x18;
    pub(super) const SVE: u64 = 0x19;
    pub(super) const SME: u64 = 0x1d;
    pub(super) const INSTRUCTION_ABORT: u64 = 0x20;
    pub(super) const DATA_ABORT: u64 = 0x24;
}

/// What kind of exit a syndrome tells of, in the manual's words.
#[must_use]
pub const fn class_name(esr: u64) -> &'static str {
    match esr >> 26 & 0x3f {
        class::WFX => "WFI or WFE",
        class::HVC64 => "HVC",
        class::SMC64 => "SMC",
        class::SYSTEM => "MSR or MRS",
        class::INSTRUCTION_ABORT => "instruction abort",
        class::DATA_ABORT => "data abort",
        class::FP | class::SVE | class::SME => "FP, SVE or SME",
        class::PAUTH => "pointer authentication",
        _ => "exception",
    }
}

/// Interprets the syndrome of a synchronous exit. `x` gives the general registers, 31 as zero. How a read is completed,
/// [`Load::from_esr`] says.
#[inline(always)]
pub fn decode(syndrome: Syndrome, x: impl Fn(u8) -> u64) -> Exit<ArchExit> {
    let Syndrome { esr, .. } = syndrome;
    let iss = esr & 0x1ff_ffff;
    match esr >> 26 & 0x3f {
        class::HVC64 => Exit::Arch(ArchExit::Hvc(iss as u16)),
        class::DATA_ABORT => data_abort(syndrome, x),
        class::SYSTEM => {
            let access = SystemAccess {
                register: SystemRegister::from_iss(iss),
                general: (iss >> 5 & 31) as u8,
                direction: if iss & 1 == 0 { Direction::Write } else { Direction::Read },
            };
            Exit::Arch(ArchExit::System(access))
        }
        // ISS.TI: 0 WFI, 1 WFE, 2 WFIT, 3 WFET. The timed ones are not offered, and may return early.
        class::WFX if iss & 0b11 == 0 => Exit::Idle,
        class::WFX => Exit::Yield,
        class::SMC64 => Exit::Arch(ArchExit::Smc(iss as u16)),
        class::UNKNOWN
        | class::CP15_MCR..=class::CP14_LDC
        | class::FP
        | class::CP10
        | class::PAUTH
        | class::LS64
        | class::CP14_MRRC
        | class::SVE
        | class::SME => Exit::Arch(ArchExit::Undefined),
        class::INSTRUCTION_ABORT => Exit::Fatal(abort_fault(syndrome, FaultKind::Fetch)),
        _ => Exit::Fatal(Fault { kind: FaultKind::Unexpected, syndrome: esr }),
    }
}

const ISV: u64 = 1 << 24;
const SSE: u64 = 1 << 21;
const SF: u64 = 1 << 15;
const WNR: u64 = 1 << 6;

/// ISS.SAS of a data abort.
#[inline]
const fn width(esr: u64) -> Width {
    match esr >> 22 & 3 {
        0 => Width::B1,
        1 => Width::B2,
        2 => Width::B4,
        _ => Width::B8,
    }
}

/// ISS of a data abort: ISV, SAS, SSE, SRT, SF, WnR, S1PTW, DFSC.
#[inline(always)]
fn data_abort(syndrome: Syndrome, x: impl Fn(u8) -> u64) -> Exit<ArchExit> {
    let Syndrome { esr, .. } = syndrome;
    let is_decoded = esr & (ISV | STAGE1_WALK) == ISV && status(esr) == Status::Translation;
    if !is_decoded {
        return Exit::Fatal(abort_fault(syndrome, FaultKind::Undecodable));
    }
    let width = width(esr);
    let op =
        if esr & WNR != 0 { Op::Write(x((esr >> 16 & 31) as u8) & width.ones()) } else { Op::Read };
    Exit::Device(Access { space: Space::Mmio, addr: syndrome.address(), width, op })
}

const STAGE1_WALK: u64 = 1 << 7;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Status {
    Translation,
    Permission,
    Other,
}

/// IFSC and DFSC, the fault status code: 0b0001xx translation, 0b0011xx permission; 0b000000 is an
/// address size fault: the guest's address is beyond the IPA space, so nothing is there either.
#[inline]
fn status(esr: u64) -> Status {
    match esr & 0x3f {
        0b00_0000..=0b00_0111 => Status::Translation,
        0b00_1100..=0b00_1111 => Status::Permission,
        _ => Status::Other,
    }
}

#[cold]
fn abort_fault(syndrome: Syndrome, otherwise: fn(GuestPhysAddr) -> FaultKind) -> Fault {
    let Syndrome { esr, .. } = syndrome;
    let addr = syndrome.address();
    let kind = match status(esr) {
        _ if esr & STAGE1_WALK != 0 => FaultKind::TableWalk(syndrome.page()),
        Status::Permission if esr >> 26 & 0x3f == class::DATA_ABORT => FaultKind::Protected(addr),
        Status::Translation | Status::Permission => otherwise(addr),
        Status::Other => FaultKind::Unexpected,
    };
    Fault { kind, syndrome: esr }
}

impl Syndrome {
    /// The page of the faulting IPA: `HPFAR_EL2.FIPA` is bits 47:12, from bit 4 on.
    fn page(self) -> GuestPhysAddr {
        GuestPhysAddr((self.hpfar & 0x0fff_ffff_fff0) << 8)
    }

    fn address(self) -> GuestPhysAddr {
        GuestPhysAddr(self.page().0 | self.far & 0xfff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IL: u64 = 1 << 25;

    fn exit(class: u64, iss: u64) -> Exit<ArchExit> {
        decode(Syndrome { esr: class << 26 | IL | iss, ..Syndrome::default() }, |_| 0)
    }

    fn abort(iss: u64) -> (Exit<ArchExit>, Load) {
        let syndrome =
            Syndrome { esr: 0x24 << 26 | IL | iss, far: 0xffff_0000_1234_5018, hpfar: 0x9000 << 4 };
        let x =
            |general| if general == 31 { 0 } else { 0x1111_2222_3333_4400 + u64::from(general) };
        (decode(syndrome, x), Load::from_esr(syndrome.esr))
    }

    const TRANSLATION_LEVEL_1: u64 = 0b000101;

    #[test]
    fn str_w1_to_a_device_is_a_four_byte_write_of_x1() {
        let (exit, _) = abort(1 << 24 | 2 << 22 | 1 << 16 | 1 << 6 | TRANSLATION_LEVEL_1);
        let access = Access {
            space: Space::Mmio,
            addr: GuestPhysAddr(0x0900_0018),
            width: Width::B4,
            op: Op::Write(0x3333_4401),
        };
        assert_eq!(exit, Exit::Device(access));
    }

    #[test]
    fn a_store_of_xzr_writes_zero() {
        let (exit, _) = abort(1 << 24 | 3 << 22 | 31 << 16 | 1 << 6 | TRANSLATION_LEVEL_1);
        assert!(matches!(exit, Exit::Device(Access { op: Op::Write(0), width: Width::B8, .. })));
    }

    #[test]
    fn loads_extend_as_the_instruction_says() {
        let load = |iss: u64| abort(1 << 24 | 7 << 16 | iss | TRANSLATION_LEVEL_1).1;
        assert_eq!(load(0).general, 7);
        assert_eq!(load(0).extend(0xf80), 0x80, "LDRB");
        assert_eq!(load(1 << 21).extend(0x80), 0xffff_ff80, "LDRSB W");
        assert_eq!(load(1 << 21 | 1 << 15).extend(0x80), 0xffff_ffff_ffff_ff80, "LDRSB X");
        assert_eq!(load(2 << 22 | 1 << 21 | 1 << 15).extend(0x7fff_ffff), 0x7fff_ffff, "LDRSW");
        assert_eq!(load(3 << 22 | 1 << 15).extend(u64::MAX), u64::MAX, "LDR X");
    }

    #[test]
    fn an_abort_without_a_valid_syndrome_is_fatal_to_the_guest() {
        let Exit::Fatal(fault) = abort(TRANSLATION_LEVEL_1).0 else { panic!("not fatal") };
        assert_eq!(fault.kind, FaultKind::Undecodable(GuestPhysAddr(0x0900_0018)));
    }

    #[test]
    fn a_table_walk_outside_of_ram_is_named_by_its_page() {
        let Exit::Fatal(fault) = abort(1 << 7 | TRANSLATION_LEVEL_1).0 else { panic!("not fatal") };
        assert_eq!(fault.kind, FaultKind::TableWalk(GuestPhysAddr(0x0900_0000)));
    }

    #[test]
    fn a_fetch_from_a_hole_is_fatal_to_the_guest() {
        let syndrome =
            Syndrome { esr: 0x20 << 26 | IL | 0b000110, far: 0xdead_0004, hpfar: 0xdead0 << 4 };
        let Exit::Fatal(fault) = decode(syndrome, |_| 0) else { panic!("not fatal") };
        assert_eq!(fault.kind, FaultKind::Fetch(GuestPhysAddr(0xdead_0004)));
    }

    #[test]
    fn wfi_waits_and_wfe_yields() {
        assert_eq!(exit(0x01, 0), Exit::Idle);
        for timed_or_wfe in 1..=3 {
            assert_eq!(exit(0x01, timed_or_wfe), Exit::Yield);
        }
    }

    #[test]
    fn calls_carry_their_immediate() {
        assert_eq!(exit(0x16, 0x4a48), Exit::Arch(ArchExit::Hvc(0x4a48)));
        assert_eq!(exit(0x17, 0), Exit::Arch(ArchExit::Smc(0)));
    }

    #[test]
    fn a_trapped_msr_names_register_and_direction() {
        // MSR ICC_SGI1R_EL1, X3.
        let iss = 3 << 20 | 5 << 17 | 12 << 10 | 3 << 5 | 11 << 1;
        let Exit::Arch(ArchExit::System(access)) = exit(0x18, iss) else {
            panic!("not a register")
        };
        assert_eq!(access.register, SystemRegister::new(3, 0, 12, 11, 5));
        assert_eq!((access.general, access.direction), (3, Direction::Write));
        assert_eq!(Load::from_esr(0x18 << 26 | iss | 1).general, 3);
    }

    /// Every exception class of the table in D19.2.40 that EL2 can see, and all that it cannot.
    #[test]
    fn every_class_has_an_answer() {
        for class in 0..64 {
            match (class, exit(class, 0)) {
                (0x01, Exit::Idle)
                | (0x16, Exit::Arch(ArchExit::Hvc(0)))
                | (0x17, Exit::Arch(ArchExit::Smc(0)))
                | (0x18, Exit::Arch(ArchExit::System(_)))
                | (0x00 | 0x03..=0x0a | 0x0c | 0x19 | 0x1d, Exit::Arch(ArchExit::Undefined)) => {}
                (_, Exit::Fatal(fault)) => assert_eq!(fault.syndrome >> 26, class),
                (class, exit) => panic!("class {class:#x} gave {exit:?}"),
            }
        }
    }
}
