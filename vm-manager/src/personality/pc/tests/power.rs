//! How a guest switches its VM off, and starts it anew; what its machine can be.

use super::machine::{FakePc, Machine, config, request};
use crate::board::Board;
use crate::bus::Reply;
use crate::personality::pc::Pc;
use crate::run::Stop;
use hv_core::arch::x86_64::exit::ArchExit;
use hv_core::exit::{FaultKind, Op};
use hv_core::guest::Width;

#[test]
fn acpi_switches_off() {
    let mut machine = Machine::new(1);
    let reply = machine.port(0, 0x604, Width::B2, Op::Write(5 << 10 | 1 << 13));
    assert_eq!(reply, Reply::Ends(Stop::PowerOff));
}

#[test]
fn the_reset_ports_reset() {
    let mut machine = Machine::new(1);
    for (port, value) in [(0x64, 0xfe), (0xcf9, 6)] {
        let reply = machine.port(0, port, Width::B1, Op::Write(value));
        assert_eq!(reply, Reply::Ends(Stop::Reset), "{port:#x}");
    }
    assert_eq!(machine.port(0, 0x80, Width::B1, Op::Write(1)), Reply::Done);
}

#[test]
fn a_triple_fault_is_a_crash() {
    let mut machine = Machine::new(1);
    let _ = machine.handle(0, ArchExit::TripleFault);
    assert_eq!(machine.stops, [(0, Stop::Crashed)]);
    assert_eq!(machine.core(0).fault.unwrap().kind, FaultKind::TripleFault);
}

#[test]
fn an_unknown_port_reads_ones_and_nobody_minds() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.port(0, 0xcfc, Width::B4, Op::Read), Reply::Value(0xffff_ffff));
    assert_eq!(machine.port(0, 0xcf8, Width::B4, Op::Write(0x8000_0000)), Reply::Done);
    assert_eq!(machine.port(0, 0x3f0, Width::B1, Op::Read), Reply::Value(0xff));
    assert_eq!(machine.vm.bad_accesses().0, 0);
}

#[test]
fn memory_where_nothing_is_reads_ones_and_is_counted() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.fetch(0, 0xfed0_0000), u32::MAX);
    machine.store(0, 0xfed0_0010, 7);
    assert_eq!(machine.vm.bad_accesses(), (2, hv_core::guest::GuestPhysAddr(0xfed0_0010)));
}

#[test]
fn the_cmos_ram_tells_how_much_memory_there_is() {
    let mut machine = Machine::new(1);
    let mut cmos = |index| {
        machine.out(0, 0x70, index);
        machine.input(0, 0x71)
    };
    // 4 MiB: 3 MiB above the first.
    assert_eq!(u16::from_le_bytes([cmos(0x17), cmos(0x18)]), 3 << 10);
    assert_eq!(u16::from_le_bytes([cmos(0x34), cmos(0x35)]), 0);
}

#[test]
fn an_interrupt_controller_of_arm_is_refused() {
    let config = config(&[("gic", "3")]);
    let error = Pc::<FakePc>::check(&config, &request(&config)).err().unwrap().to_string();
    assert!(error.contains("gic") && error.contains("AArch64"), "{error}");
}

#[test]
fn a_flat_kernel_is_planned_with_its_tables() {
    let config = config(&[]);
    let machine = Machine::new(1);
    let board = machine.vm.board();
    let (_, start) = board.prepare(&config, &request(&config), [0; 4]).ok().unwrap();
    assert_eq!(start, hv_core::arch::x86_64::start::Start::Real { segment: 0, offset: 0x7c00 });
    assert!(board.devices().iter().any(|device| device.name == "16550 uart"));
    assert_eq!(board.interrupt_controller(), "APIC");
}

#[test]
fn ram_beyond_three_gib_goes_on_at_four() {
    let parts = Pc::<FakePc>::ram(5 << 30);
    assert_eq!(
        parts.iter().map(|part| (part.start, part.end)).collect::<Vec<_>>(),
        [(0, 3 << 30), (4 << 30, 6 << 30)]
    );
    assert_eq!(Pc::<FakePc>::ram(2 << 20).len(), 1);
}
