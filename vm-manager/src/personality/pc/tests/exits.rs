//! Exits that ask for no interrupt.

use super::machine::Machine;
use crate::run::Stop;
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::{
    ArchExit, ControlAccess, DebugAccess, Direction, Exception, MemoryAccess, Repeat, StringPort,
    Undecoded,
};
use hv_core::arch::x86_64::register::{SystemRegister, cr0, cr4, general};
use hv_core::exit::{Access, FaultKind, Op};
use hv_core::guest::{GuestMemory, GuestPhysAddr, Space, Width};
use hv_core::vcpu::GuestCpu;
use proptest::prelude::*;

use crate::board::Board;
use crate::personality::pc::cpu::PcCpu;

fn leaf(machine: &mut Machine, vcpu: usize, number: u32) -> [u32; 4] {
    machine.cpu(vcpu).general[usize::from(general::RAX)] = number.into();
    machine.cpu(vcpu).general[usize::from(general::RCX)] = 0;
    let _ = machine.handle(vcpu, ArchExit::Cpuid);
    [general::RAX, general::RBX, general::RCX, general::RDX]
        .map(|index| machine.cpu(vcpu).general[usize::from(index)] as u32)
}

#[test]
fn cpuid_tells_who_asks() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, 1 << 32 | 0x601).unwrap();
    assert_eq!(leaf(&mut machine, 0, 1)[1] >> 24, 0);
    assert_eq!(leaf(&mut machine, 1, 1)[1] >> 24, 1);
    assert_eq!(leaf(&mut machine, 1, 0x4000_0000)[1].to_le_bytes(), *b"KVMK");
    assert_eq!(leaf(&mut machine, 0, 1)[2] >> 27 & 1, 0);
    machine.cpu(0).set_system(SystemRegister::Cr4, cr4::OSXSAVE);
    assert_eq!(leaf(&mut machine, 0, 1)[2] >> 27 & 1, 1, "OSXSAVE follows CR4");
}

#[test]
fn registers_that_do_not_exist_fault() {
    let mut machine = Machine::new(1);
    for index in [0x3a, 0x480, 0xc001_0114, 0x1234, u32::MAX, 0x800, 0x80b] {
        assert_eq!(machine.rdmsr(0, index), Err(()), "{index:#x}");
        assert_eq!(machine.wrmsr(0, index, 0), Err(()), "{index:#x}");
    }
    for (index, value) in [(0xc000_0080, 1 << 12), (0x277, 2), (0x1b, 1), (0x1b, 0xfee0_0400)] {
        assert_eq!(machine.wrmsr(0, index, value), Err(()), "{index:#x}");
    }
    assert_eq!(machine.wrmsr(0, 0x277, 0x0007_0406_0007_0406), Ok(()));
    assert_eq!(machine.rdmsr(0, 0x277), Ok(0x0007_0406_0007_0406));
    assert_eq!(machine.wrmsr(0, 0xc000_0080, 0x901), Ok(()));
    assert_eq!(machine.rdmsr(0, 0xc000_0080), Ok(0x901));
}

#[test]
fn an_unknown_call_is_answered_as_kvm_does() {
    let mut machine = Machine::new(1);
    let _ = machine.handle(0, ArchExit::Hypercall);
    assert_eq!(machine.cpu(0).general[0].cast_signed(), -1000);
    machine.cpu(0).set_privilege(3);
    let _ = machine.handle(0, ArchExit::Hypercall);
    assert_eq!(machine.cpu(0).general[0].cast_signed(), -1);
}

fn control(register: u8, direction: Direction) -> ArchExit {
    ArchExit::Control(ControlAccess::Move { register, general: 3, direction })
}

#[test]
fn reserved_bits_of_control_registers_fault() {
    let mut machine = Machine::new(1);
    for (register, value) in [(0, cr0::PG & !cr0::PE), (4, cr4::VMXE), (4, cr4::LA57)] {
        machine.cpu(0).general[3] = value;
        let rip = machine.cpu(0).rip;
        let _ = machine.handle(0, control(register, Direction::Write));
        assert!(machine.is_refused(0), "CR{register} {value:#x}");
        assert_eq!(machine.cpu(0).rip, rip, "at the instruction");
    }
    machine.cpu(0).general[3] = cr4::PAE;
    let _ = machine.handle(0, control(4, Direction::Write));
    machine.cpu(0).general[3] = 0;
    let _ = machine.handle(0, control(4, Direction::Read));
    assert_eq!(machine.cpu(0).general[3], cr4::PAE);
    let _ = machine.handle(0, control(1, Direction::Read));
    assert_eq!(machine.taken(0), Some(Event::UNDEFINED));
}

#[test]
fn clts_and_lmsw_change_their_bits() {
    let mut machine = Machine::new(1);
    machine.cpu(0).set_system(SystemRegister::Cr0, cr0::ET | cr0::PE | cr0::TS | cr0::NE);
    let _ = machine.handle(0, ArchExit::Control(ControlAccess::ClearTaskSwitched));
    assert_eq!(machine.cpu(0).system(SystemRegister::Cr0), cr0::ET | cr0::PE | cr0::NE);
    let _ = machine.handle(0, ArchExit::Control(ControlAccess::LoadStatusWord(0x8)));
    assert_eq!(machine.cpu(0).system(SystemRegister::Cr0), cr0::ET | cr0::PE | cr0::NE | cr0::TS);
}

#[test]
fn xsetbv_needs_its_flag_and_takes_what_is_there() {
    let mut machine = Machine::new(1);
    let set = |index, value| ArchExit::Xsetbv { index, value };
    let _ = machine.handle(0, set(0, 7));
    assert_eq!(machine.taken(0), Some(Event::UNDEFINED));
    machine.cpu(0).set_system(SystemRegister::Cr4, cr4::OSXSAVE);
    let _ = machine.handle(0, set(0, 7));
    assert_eq!(machine.taken(0), None);
    assert_eq!(machine.cpu(0).system(SystemRegister::Xcr0), 7);
    for (index, value) in [(0, 6), (1, 7), (0, 0xff)] {
        let _ = machine.handle(0, set(index, value));
        assert!(machine.is_refused(0), "{index} {value:#x}");
    }
}

#[test]
fn what_the_guest_raised_it_gets() {
    let mut machine = Machine::new(1);
    let fault = Exception { vector: 14, error_code: Some(2), detail: 0x1234 };
    let _ = machine.handle(0, ArchExit::Exception(fault));
    let taken = machine.taken(0).unwrap();
    assert_eq!((taken.vector, taken.error_code), (14, Some(2)));
    assert_eq!(machine.cpu(0).system(SystemRegister::Cr2), 0x1234);
    let _ = machine.handle(0, ArchExit::Undefined);
    assert_eq!(machine.taken(0), Some(Event::UNDEFINED));
    let _ = machine.handle(0, ArchExit::Protected);
    assert!(machine.is_refused(0));
}

#[test]
fn an_instruction_that_cannot_be_emulated_crashes_the_vm_and_is_named() {
    let mut machine = Machine::new(1);
    // fxsave [eax]
    machine.vm.ram().write(GuestPhysAddr(0x8000), &[0x0f, 0xae, 0x00]).unwrap();
    machine.cpu(0).rip = 0x8000;
    machine.cpu(0).general[0] = 0xfec0_0000;
    let addr = GuestPhysAddr(0xfec0_0000);
    let access = MemoryAccess { addr, linear: None, direction: Direction::Write };
    let _ = machine.handle(0, ArchExit::Memory(access));
    assert_eq!(machine.stops, [(0, Stop::Crashed)]);
    let core = machine.core(0);
    assert_eq!(core.fault.unwrap().kind, FaultKind::Undecodable(addr));
    assert!(core.detail.as_ref().unwrap().starts_with("Fxsave"), "{:?}", core.detail);
}

#[test]
fn strings_go_to_the_serial_port() {
    let mut machine = Machine::new(1);
    // rep outsb
    machine.vm.ram().write(GuestPhysAddr(0x8000), &[0xf3, 0x6e]).unwrap();
    machine.vm.ram().write(GuestPhysAddr(0x9000), b"hello").unwrap();
    let cpu = machine.cpu(0);
    cpu.rip = 0x8000;
    cpu.general[usize::from(general::RSI)] = 0x9000;
    cpu.general[usize::from(general::RCX)] = 5;
    cpu.general[usize::from(general::RDX)] = 0x3f8;
    let exit = StringPort {
        port: 0x3f8,
        width: Width::B1,
        direction: Direction::Write,
        repeat: Repeat::Counted,
        address_width: None,
        segment: None,
    };
    let _ = machine.handle(0, ArchExit::StringPort(exit));
    assert_eq!(machine.cpu(0).rip, 0x8002);
    let mut text = [0; 8];
    let mut cursor = crate::console::Cursor::BEGINNING;
    let read = machine.vm.sink().output().read(&mut cursor, &mut text);
    assert_eq!(&text[..read.bytes], b"hello");
}

#[test]
fn names_of_exits_fit() {
    use super::machine::FakePc;
    use crate::personality::pc::Pc;
    let names = <Pc<FakePc> as Board<FakePc>>::EXIT_NAMES;
    assert!(Pc::<FakePc>::exit_index(&ArchExit::CacheFlush) < names.len());
    assert!(crate::slot::COMMON_EXITS.len() + names.len() <= 20);
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Read), Just(Direction::Write)]
}

fn exits() -> impl Strategy<Value = ArchExit> {
    let index = prop_oneof![
        0x800..0x840_u32,
        Just(0x1b),
        Just(0x10),
        Just(0x6e0),
        Just(0xc000_0080),
        Just(0x4b56_4d00),
        Just(0x4b56_4d01),
        any::<u32>()
    ];
    let value = prop_oneof![0..0x1000_u64, any::<u64>(), Just(1 << 32 | 0x4600), Just(0xc_4500)];
    prop_oneof![
        Just(ArchExit::Cpuid),
        Just(ArchExit::Hypercall),
        index.clone().prop_map(ArchExit::ReadMsr),
        (index, value).prop_map(|(index, value)| ArchExit::WriteMsr { index, value }),
        (0..16_u8, 0..16_u8, direction()).prop_map(|(register, general, direction)| {
            ArchExit::Control(ControlAccess::Move { register, general, direction })
        }),
        (0..8_u8, 0..16_u8, direction()).prop_map(|(register, general, direction)| {
            ArchExit::Debug(DebugAccess { register, general, direction })
        }),
        any::<u16>().prop_map(|word| ArchExit::Control(ControlAccess::LoadStatusWord(word))),
        (0..2_u32, any::<u64>()).prop_map(|(index, value)| ArchExit::Xsetbv { index, value }),
        (any::<u64>(), direction()).prop_map(|(addr, direction)| {
            let addr = GuestPhysAddr(addr);
            ArchExit::Memory(MemoryAccess { addr, linear: None, direction })
        }),
        (0..9_u8).prop_map(|register| ArchExit::Undecoded(Undecoded::ControlWrite(register))),
        Just(ArchExit::InterruptWindow),
        Just(ArchExit::NmiWindow),
        Just(ArchExit::CacheFlush),
        Just(ArchExit::TaskPriority),
        Just(ArchExit::EndOfInterrupt(7)),
        Just(ArchExit::SliceEnd),
        Just(ArchExit::Undefined),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_exit_makes_a_panic(
        exits in proptest::collection::vec((0..2_usize, exits(), any::<u64>(), 0..3_000_000_u64), 1..40),
        ports in proptest::collection::vec((any::<u16>(), any::<Option<u64>>()), 0..40),
    ) {
        let mut machine = Machine::new(2);
        machine.x2apic(0);
        machine.wrmsr(0, 0x830, 1 << 32 | 0x601).unwrap();
        for (port, write) in ports {
            let port = if port & 1 == 0 { port } else { port >> 8 };
            machine.port(0, port, Width::B4, write.map_or(Op::Read, Op::Write));
        }
        for (vcpu, exit, general, time) in exits {
            machine.cpu(vcpu).general = [general; 16];
            let _ = machine.handle(vcpu, exit);
            machine.cpu(0).pending = None;
            machine.cpu(1).pending = None;
            machine.pass(time);
        }
        let access = Access {
            space: Space::Mmio, addr: GuestPhysAddr(0xfec0_0010), width: Width::B4, op: Op::Read,
        };
        let vm = machine.vm.clone();
        let shared = machine.shared.clone();
        vm.board().access(access, machine.core(0), shared.platform());
        machine.cpu(0).dump();
    }
}
