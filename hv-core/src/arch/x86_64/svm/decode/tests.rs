//! Exits as APM vol. 2, chapter 15 and appendix C, spell them.

use super::*;
use proptest::prelude::*;

const RAX: u64 = 0x1111_2222_3333_4444;
const RCX: u64 = 0xffff_ffff_c000_0080;
const RDX: u64 = 0x5555_6666_7777_8888;

fn general(number: u8) -> u64 {
    match number {
        0 => RAX,
        1 => RCX,
        2 => RDX,
        _ => panic!("register {number} is no operand"),
    }
}

/// As a vCPU does it.
fn decode(information: Information, assists: DecodeAssists) -> Exit<ArchExit> {
    decode_frequent(information, general, || decode_rare(information, assists, general))
}

fn exit(code: u64, info1: u64, info2: u64) -> Exit<ArchExit> {
    decode(Information { code, info1, info2 }, DecodeAssists::Absent)
}

fn assisted(code: u64, info1: u64) -> Exit<ArchExit> {
    decode(Information { code, info1, info2: 0 }, DecodeAssists::Present)
}

fn plain(named: Named) -> Exit<ArchExit> {
    exit(named as u64, 0, 0)
}

fn arch(exit: ArchExit) -> Exit<ArchExit> {
    Exit::Arch(exit)
}

#[test]
fn exits_without_operands_are_what_they_are_called() {
    for (named, expected) in [
        (Named::Interrupt, Exit::Interrupt),
        (Named::Hlt, Exit::Idle),
        (Named::IdleHlt, Exit::Idle),
        (Named::Pause, Exit::Yield),
        (Named::Cpuid, arch(ArchExit::Cpuid)),
        (Named::Vmmcall, arch(ArchExit::Hypercall)),
        (Named::Shutdown, arch(ArchExit::TripleFault)),
        (Named::Nmi, arch(ArchExit::Nmi)),
        (Named::Init, arch(ArchExit::Init)),
        (Named::VirtualInterrupt, arch(ArchExit::InterruptWindow)),
        (Named::Iret, arch(ArchExit::NmiWindow)),
        (Named::Wbinvd, arch(ArchExit::CacheFlush)),
        (Named::Rdpmc, arch(ArchExit::Protected)),
    ] {
        assert_eq!(plain(named), expected, "{named:?}");
    }
}

#[test]
fn instructions_of_svm_are_undefined_in_the_guest() {
    for code in [
        0x80, 0x82, 0x83, 0x84, 0x85, 0x86, 0x7a, 0x8a, 0x8b, 0x8c, 0x8e, 0x73, 0xa0, 0xa1, 0xa3,
        0xa4,
    ] {
        assert_eq!(exit(code, 0, 0), arch(ArchExit::Undefined), "{code:#x}");
    }
}

#[test]
fn operands_come_from_the_registers_of_the_instruction() {
    let value = 0x7777_8888_3333_4444;
    assert_eq!(exit(0x7c, 0, 0), arch(ArchExit::ReadMsr(0xc000_0080)));
    assert_eq!(exit(0x7c, 1, 0), arch(ArchExit::WriteMsr { index: 0xc000_0080, value }));
    assert_eq!(plain(Named::Xsetbv), arch(ArchExit::Xsetbv { index: 0xc000_0080, value }));
}

#[test]
fn port_accesses_have_width_direction_and_port() {
    let access = |width, op| {
        Exit::Device(Access { space: Space::Port, addr: GuestPhysAddr(0x3f8), width, op })
    };
    assert_eq!(exit(0x7b, 0x3f8_0010, 0), access(Width::B1, Op::Write(0x44)));
    assert_eq!(exit(0x7b, 0x3f8_0020, 0), access(Width::B2, Op::Write(0x4444)));
    assert_eq!(exit(0x7b, 0x3f8_0040, 0), access(Width::B4, Op::Write(0x3333_4444)));
    // With the address size, as hardware tells it.
    assert_eq!(exit(0x7b, 0x3f8_0211, 0), access(Width::B1, Op::Read));
}

#[test]
fn string_accesses_say_what_the_cpu_says() {
    let outs = StringPort {
        port: 0x1f0,
        width: Width::B2,
        direction: Direction::Write,
        repeat: Repeat::Counted,
        address_width: Some(Width::B8),
        segment: Some(3),
    };
    assert_eq!(
        exit(0x7b, 0x1f0_0000 | 3 << 10 | 1 << 9 | 0x2c, 0),
        arch(ArchExit::StringPort(outs))
    );
    let qemu = StringPort { address_width: None, segment: None, ..outs };
    assert_eq!(exit(0x7b, 0x1f0_002c, 0), arch(ArchExit::StringPort(qemu)));
    let ins = StringPort {
        direction: Direction::Read,
        repeat: Repeat::Once,
        address_width: Some(Width::B4),
        segment: Some(0),
        ..outs
    };
    assert_eq!(exit(0x7b, 0x1f0_0125, 0), arch(ArchExit::StringPort(ins)));
}

#[test]
fn control_and_debug_registers_are_known_as_far_as_they_are_told() {
    let moved = |register, general, direction| {
        arch(ArchExit::Control(ControlAccess::Move { register, general, direction }))
    };
    assert_eq!(assisted(0x14, 1 << 63 | 3), moved(4, 3, Direction::Write));
    assert_eq!(assisted(0x08, 1 << 63 | 15), moved(8, 15, Direction::Read));
    assert_eq!(assisted(0x65, 1 << 63 | 2), moved(0, 2, Direction::Write));
    let debug = DebugAccess { register: 7, general: 3, direction: Direction::Write };
    assert_eq!(assisted(0x37, 3), arch(ArchExit::Debug(debug)));
    let undecoded = |what| arch(ArchExit::Undecoded(what));
    // CLTS or LMSW.
    assert_eq!(assisted(0x10, 0), undecoded(Undecoded::ControlWrite(0)));
    assert_eq!(exit(0x10, 1 << 63, 0), undecoded(Undecoded::ControlWrite(0)));
    assert_eq!(exit(0x00, 0, 0), undecoded(Undecoded::ControlRead(0)));
    assert_eq!(exit(0x65, 0, 0), undecoded(Undecoded::ControlWrite(0)));
    assert_eq!(exit(0x26, 0, 0), undecoded(Undecoded::DebugRead(6)));
    assert_eq!(exit(0x36, 0, 0), undecoded(Undecoded::DebugWrite(6)));
}

#[test]
fn exceptions_have_their_error_code_and_address() {
    let exception = |vector, error_code, detail| {
        arch(ArchExit::Exception(Exception { vector, error_code, detail }))
    };
    assert_eq!(exit(0x4e, 6, 0xdead_0000), exception(14, Some(6), 0xdead_0000));
    assert_eq!(exit(0x4d, 8, 9), exception(13, Some(8), 0));
    assert_eq!(exit(0x46, 8, 9), exception(6, None, 0));
    assert_eq!(exit(0x52, 0, 0), arch(ArchExit::MachineCheck));
}

#[test]
fn a_task_switch_says_who_switches() {
    for (info2, source) in [
        (0, TaskSource::Call),
        (1 << 36, TaskSource::Iret),
        (1 << 38, TaskSource::Jump),
        (1 << 44 | 0x18, TaskSource::Gate),
    ] {
        let expected = arch(ArchExit::TaskSwitch(TaskSwitch { selector: 0x28, source }));
        assert_eq!(exit(0x7d, 0x28, info2), expected);
    }
}

#[test]
fn a_nested_page_fault_is_a_device_a_hole_or_a_walk() {
    const USER: u64 = 1 << 2;
    const FINAL: u64 = 1 << 32;
    let addr = GuestPhysAddr(0xfee0_0300);
    let fault = |error| exit(0x400, error, addr.0);
    let memory = |direction| arch(ArchExit::Memory(MemoryAccess { addr, linear: None, direction }));
    assert_eq!(fault(FINAL | USER), memory(Direction::Read));
    assert_eq!(fault(FINAL | USER | 2), memory(Direction::Write));
    let kind = |error| {
        let Exit::Fatal(fault) = fault(error) else { return None };
        Some(fault.kind)
    };
    assert_eq!(kind(FINAL | USER | 1 << 4), Some(FaultKind::Fetch(addr)));
    assert_eq!(kind(FINAL | USER | 3), Some(FaultKind::Protected(addr)));
    // A walk of the guest's tables counts as a write, for it may set accessed bits.
    assert_eq!(kind(1 << 33 | USER | 2), Some(FaultKind::TableWalk(addr)));
}

#[test]
fn what_cannot_occur_is_fatal_and_says_what_it_was() {
    for code in [
        0x62, 0x66, 0x6d, 0x6e, 0x70, 0x75, 0x79, 0x7e, 0x87, 0x88, 0x8f, 0x94, 0xa2, 0xa5, 0xa7,
        0x401, 0x403,
    ] {
        let fault = Fault { kind: FaultKind::Unexpected, syndrome: code << 32 | 7 };
        assert_eq!(exit(code, 7, 0), Exit::Fatal(fault), "{code:#x}");
    }
    let invalid = Fault { kind: FaultKind::Unexpected, syndrome: 0xffff_ffff << 32 };
    assert_eq!(exit(u64::MAX, 0, 0), Exit::Fatal(invalid));
    assert_eq!(exit(0xffff_ffff, 0, 0), Exit::Fatal(invalid));
}

proptest! {
    #[test]
    fn any_exit_has_an_answer(code in prop_oneof![0..0x410u64, any::<u64>()], info1: u64, info2: u64) {
        let _ = exit(code, info1, info2);
        let _ = decode(Information { code, info1, info2 }, DecodeAssists::Present);
    }
}
