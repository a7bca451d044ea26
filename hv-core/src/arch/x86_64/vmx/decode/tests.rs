//! Exits as the tables of SDM vol. 3C, 28.2, spell them.

use super::*;
use proptest::prelude::*;

/// The fields of an exit.
#[derive(Clone, Copy, Default)]
struct Fields {
    qualification: u64,
    interruption: u64,
    error_code: u64,
    information: u64,
    physical: u64,
    linear: u64,
}

const RAX: u64 = 0x1111_2222_3333_4444;
const RCX: u64 = 0xffff_ffff_c000_0080;
const RDX: u64 = 0x5555_6666_7777_8888;

fn decoded(reason: u32, fields: Fields) -> Exit<ArchExit> {
    let read = |field| match field {
        Field::Qualification => fields.qualification,
        Field::Interruption => fields.interruption,
        Field::InterruptionErrorCode => fields.error_code,
        Field::InstructionInformation => fields.information,
        Field::GuestPhysicalAddress => fields.physical,
        Field::GuestLinearAddress => fields.linear,
        Field::Reason
        | Field::InstructionError
        | Field::Vectoring
        | Field::VectoringErrorCode
        | Field::InstructionLength => panic!("{field:?} is not for the decoder"),
    };
    let general = |number| match number {
        0 => RAX,
        1 => RCX,
        2 => RDX,
        _ => panic!("register {number} is no operand"),
    };
    decode_frequent(reason, read, general, || decode_rare(reason, read, general))
}

fn plain(reason: Reason) -> Exit<ArchExit> {
    decoded(reason as u32, Fields::default())
}

fn qualified(reason: Reason, qualification: u64) -> Exit<ArchExit> {
    decoded(reason as u32, Fields { qualification, ..Fields::default() })
}

fn arch(exit: ArchExit) -> Exit<ArchExit> {
    Exit::Arch(exit)
}

#[test]
fn exits_without_operands_are_what_they_are_called() {
    for (reason, exit) in [
        (Reason::ExternalInterrupt, Exit::Interrupt),
        (Reason::Hlt, Exit::Idle),
        (Reason::Pause, Exit::Yield),
        (Reason::Cpuid, arch(ArchExit::Cpuid)),
        (Reason::Vmcall, arch(ArchExit::Hypercall)),
        (Reason::TripleFault, arch(ArchExit::TripleFault)),
        (Reason::Init, arch(ArchExit::Init)),
        (Reason::InterruptWindow, arch(ArchExit::InterruptWindow)),
        (Reason::NmiWindow, arch(ArchExit::NmiWindow)),
        (Reason::PreemptionTimer, arch(ArchExit::SliceEnd)),
        (Reason::TprBelowThreshold, arch(ArchExit::TaskPriority)),
        (Reason::Wbinvd, arch(ArchExit::CacheFlush)),
        (Reason::Rdpmc, arch(ArchExit::Protected)),
    ] {
        assert_eq!(plain(reason), exit, "{reason:?}");
    }
    assert_eq!(qualified(Reason::Startup, 0x9a), arch(ArchExit::Startup(0x9a)));
    assert_eq!(qualified(Reason::VirtualizedEoi, 0x31), arch(ArchExit::EndOfInterrupt(0x31)));
    assert_eq!(qualified(Reason::ApicWrite, 0x300), arch(ArchExit::ApicWritten(0x300)));
}

#[test]
fn instructions_of_vmx_are_undefined_in_the_guest() {
    for number in (19..=27).chain([11, 36, 39, 50, 53, 59, 60, 76, 77]) {
        assert_eq!(decoded(number, Fields::default()), arch(ArchExit::Undefined), "{number}");
    }
}

#[test]
fn operands_come_from_the_registers_of_the_instruction() {
    assert_eq!(plain(Reason::Rdmsr), arch(ArchExit::ReadMsr(0xc000_0080)));
    let value = 0x7777_8888_3333_4444;
    assert_eq!(plain(Reason::Wrmsr), arch(ArchExit::WriteMsr { index: 0xc000_0080, value }));
    assert_eq!(plain(Reason::Xsetbv), arch(ArchExit::Xsetbv { index: 0xc000_0080, value }));
}

#[test]
fn port_accesses_have_width_direction_and_port() {
    let access = |width, op| {
        Exit::Device(Access { space: Space::Port, addr: GuestPhysAddr(0x3f8), width, op })
    };
    assert_eq!(qualified(Reason::Io, 0x3f8_0000), access(Width::B1, Op::Write(0x44)));
    assert_eq!(qualified(Reason::Io, 0x3f8_0001), access(Width::B2, Op::Write(0x4444)));
    assert_eq!(qualified(Reason::Io, 0x3f8_0003), access(Width::B4, Op::Write(0x3333_4444)));
    assert_eq!(qualified(Reason::Io, 0x3f8_0008), access(Width::B1, Op::Read));
    // IN with the port as an immediate operand.
    assert_eq!(qualified(Reason::Io, 0x3f8_004b), access(Width::B4, Op::Read));
}

#[test]
fn string_accesses_say_where_their_memory_is() {
    let fields =
        Fields { qualification: 0x1f0_0031, information: 2 << 7 | 3 << 15, ..Fields::default() };
    let outs = StringPort {
        port: 0x1f0,
        width: Width::B2,
        direction: Direction::Write,
        repeat: Repeat::Counted,
        address_width: Some(Width::B8),
        segment: Some(3),
    };
    assert_eq!(decoded(30, fields), arch(ArchExit::StringPort(outs)));
    let fields = Fields { qualification: 0x1f0_0018, information: 7 << 15, ..Fields::default() };
    let ins = StringPort {
        width: Width::B1,
        direction: Direction::Read,
        repeat: Repeat::Once,
        address_width: Some(Width::B2),
        segment: Some(0),
        ..outs
    };
    assert_eq!(decoded(30, fields), arch(ArchExit::StringPort(ins)));
}

#[test]
fn control_registers_are_moved_cleared_and_loaded() {
    let moved = |register, general, direction| {
        arch(ArchExit::Control(ControlAccess::Move { register, general, direction }))
    };
    assert_eq!(qualified(Reason::ControlRegister, 0x000), moved(0, 0, Direction::Write));
    assert_eq!(qualified(Reason::ControlRegister, 0xf04), moved(4, 15, Direction::Write));
    assert_eq!(qualified(Reason::ControlRegister, 0x218), moved(8, 2, Direction::Read));
    let clts = arch(ArchExit::Control(ControlAccess::ClearTaskSwitched));
    assert_eq!(qualified(Reason::ControlRegister, 0x20), clts);
    let lmsw = arch(ArchExit::Control(ControlAccess::LoadStatusWord(0xfff1)));
    assert_eq!(qualified(Reason::ControlRegister, 0xfff1_0030), lmsw);
    let debug = |register, general, direction| {
        arch(ArchExit::Debug(DebugAccess { register, general, direction }))
    };
    assert_eq!(qualified(Reason::MovDr, 0x307), debug(7, 3, Direction::Write));
    assert_eq!(qualified(Reason::MovDr, 0xa16), debug(6, 10, Direction::Read));
}

#[test]
fn a_task_switch_says_who_switches() {
    for (bits, source) in
        [(0, TaskSource::Call), (1, TaskSource::Iret), (2, TaskSource::Jump), (3, TaskSource::Gate)]
    {
        let exit = arch(ArchExit::TaskSwitch(TaskSwitch { selector: 0x28, source }));
        assert_eq!(qualified(Reason::TaskSwitch, bits << 30 | 0x28), exit);
    }
}

#[test]
fn events_are_told_apart() {
    let event = |interruption, error_code| {
        let fields =
            Fields { interruption, error_code, qualification: 0x1234, ..Fields::default() };
        decoded(0, fields)
    };
    let exception = |vector, error_code| {
        arch(ArchExit::Exception(Exception { vector, error_code, detail: 0x1234 }))
    };
    assert_eq!(event(0x8000_0202, 9), arch(ArchExit::Nmi));
    assert_eq!(event(0x8000_0312, 9), arch(ArchExit::MachineCheck));
    assert_eq!(event(0x8000_0306, 9), exception(6, None));
    assert_eq!(event(0x8000_0b0e, 9), exception(14, Some(9)));
    assert_eq!(event(0x8000_0603, 9), exception(3, None));
    assert!(matches!(event(0x306, 9), Exit::Fatal(_)), "not valid");
}

#[test]
fn an_ept_violation_is_a_device_a_hole_or_a_walk() {
    let violation = |qualification| {
        let fields = Fields {
            qualification,
            physical: 0xfee0_0300,
            linear: 0xffff_8000_0000_0300,
            ..Fields::default()
        };
        decoded(48, fields)
    };
    let addr = GuestPhysAddr(0xfee0_0300);
    let memory = |direction| {
        arch(ArchExit::Memory(MemoryAccess {
            addr,
            linear: Some(0xffff_8000_0000_0300),
            direction,
        }))
    };
    assert_eq!(violation(0x181), memory(Direction::Read));
    assert_eq!(violation(0x182), memory(Direction::Write));
    // INC, XCHG: both.
    assert_eq!(violation(0x183), memory(Direction::Write));
    let kind = |qualification| {
        let Exit::Fatal(fault) = violation(qualification) else { return None };
        Some(fault.kind)
    };
    assert_eq!(kind(0x184), Some(FaultKind::Fetch(addr)));
    assert_eq!(kind(0x081), Some(FaultKind::TableWalk(addr)));
    assert_eq!(kind(0x001), Some(FaultKind::TableWalk(addr)));
    assert_eq!(kind(0x18a), Some(FaultKind::Protected(addr)));
}

#[test]
fn an_apic_access_is_a_read_or_a_write() {
    let access = |offset, direction| arch(ArchExit::ApicAccess(ApicAccess { offset, direction }));
    assert_eq!(qualified(Reason::ApicAccess, 0x0020), access(0x20, Direction::Read));
    assert_eq!(qualified(Reason::ApicAccess, 0x10b0), access(0xb0, Direction::Write));
    assert!(matches!(qualified(Reason::ApicAccess, 0xf000), Exit::Fatal(_)));
}

#[test]
fn what_cannot_occur_is_fatal_and_says_what_it_was() {
    for number in [
        5, 6, 14, 16, 17, 33, 34, 35, 37, 38, 41, 46, 47, 49, 51, 57, 58, 62, 66, 71, 74, 80,
        0xffff,
    ] {
        let fault = Fault { kind: FaultKind::Unexpected, syndrome: u64::from(number) << 32 | 7 };
        let fields = Fields { qualification: 7, ..Fields::default() };
        assert_eq!(decoded(number, fields), Exit::Fatal(fault), "{number}");
    }
    // Whatever the basic reason says: the guest did not run.
    assert!(matches!(decoded(ENTRY_FAILURE | 10, Fields::default()), Exit::Fatal(_)));
}

proptest! {
    #[test]
    fn any_exit_has_an_answer(
        reason in prop_oneof![0..90u32, any::<u32>()],
        qualification: u64, interruption: u64, error_code: u64, information: u64, physical: u64, linear: u64,
    ) {
        let fields = Fields { qualification, interruption, error_code, information, physical, linear };
        let _ = decoded(reason, fields);
    }
}
