//! Interrupts from devices and between CPUs.

use super::machine::Machine;
use crate::board::Board;
use crate::pc_map;
use crate::personality::pc::cpu::Window;
use hv_core::arch::x86_64::event::Event;
use hv_core::arch::x86_64::exit::{ArchExit, ControlAccess, Direction};
use hv_core::arch::x86_64::register::flags;

const MS: u64 = 1_000_000;
const IOAPIC: u64 = pc_map::IOAPIC as u64;
const APIC: u64 = pc_map::LOCAL_APIC as u64;

/// The pair as Linux sets it up: vectors from 0x30 on, all masked but those of `open`.
fn set_up_pair(machine: &mut Machine, open: u16) {
    for (port, value) in [
        (0x20, 0x11),
        (0x21, 0x30),
        (0x21, 4),
        (0x21, 1),
        (0xa0, 0x11),
        (0xa1, 0x38),
        (0xa1, 2),
        (0xa1, 1),
        (0x21, !open as u8),
        (0xa1, (!open >> 8) as u8),
    ] {
        machine.out(0, port, value);
    }
}

/// A rate generator of 1 kHz.
fn set_up_timer(machine: &mut Machine) {
    for (port, value) in
        [(0x43, 0x34), (0x40, (1193_u16 & 0xff) as u8), (0x40, (1193_u16 >> 8) as u8)]
    {
        machine.out(0, port, value);
    }
}

fn redirect(machine: &mut Machine, pin: u32, low: u32, high: u32) {
    for (register, value) in [(0x11 + 2 * pin, high), (0x10 + 2 * pin, low)] {
        machine.store(0, IOAPIC, register);
        machine.store(0, IOAPIC + 0x10, value);
    }
}

/// A 16550 that interrupts for what it receives.
fn listen(machine: &mut Machine) {
    machine.out(0, 0x3fa, 1);
    machine.out(0, 0x3f9, 1);
}

#[test]
fn the_timer_interrupts_by_the_8259_pair_and_the_first_cpus_pin() {
    let mut machine = Machine::new(2);
    set_up_pair(&mut machine, 1 << 0);
    set_up_timer(&mut machine);
    // The mode begins with its output high, which is an edge.
    assert_eq!(machine.interrupt(0), Some(0x30));
    machine.out(0, 0x20, 0x20);
    for _ in 0..3 {
        machine.pass(MS + MS / 100);
        assert_eq!(machine.interrupt(0), Some(0x30));
        assert_eq!(machine.interrupt(0), None);
        machine.out(0, 0x20, 0x20);
    }
}

#[test]
fn the_timer_interrupts_by_pin_2_of_the_ioapic() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    redirect(&mut machine, 2, 0x51, 0);
    set_up_timer(&mut machine);
    machine.pass(MS);
    assert_eq!(machine.interrupt(0), Some(0x51));
    machine.wrmsr(0, 0x80b, 0).unwrap();
    machine.pass(MS);
    assert_eq!(machine.interrupt(0), Some(0x51));
}

#[test]
fn the_end_of_a_level_triggered_interrupt_raises_it_again() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    listen(&mut machine);
    redirect(&mut machine, 4, 0x8041, 0);
    assert_eq!(machine.vm.board().type_in(b"ab"), 2);
    machine.look();
    assert_eq!(machine.interrupt(0), Some(0x41));
    assert_eq!(machine.interrupt(0), None, "it is in service");
    assert_eq!(machine.input(0, 0x3f8), b'a');
    machine.wrmsr(0, 0x80b, 0).unwrap();
    assert_eq!(machine.interrupt(0), Some(0x41), "another one waits");
    assert_eq!(machine.input(0, 0x3f8), b'b');
    machine.wrmsr(0, 0x80b, 0).unwrap();
    assert_eq!(machine.interrupt(0), None);
}

#[test]
fn an_ipi_reaches_another_cpu() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    // INIT, start-up at 0x9000.
    machine.wrmsr(0, 0x830, 1 << 32 | 0xc500).unwrap();
    machine.wrmsr(0, 0x830, 1 << 32 | 0x609).unwrap();
    machine.flatten(1);
    machine.x2apic(1);
    machine.wrmsr(0, 0x830, 1 << 32 | 0x77).unwrap();
    assert_eq!(machine.interrupt(1), Some(0x77));
    assert_eq!(machine.interrupt(0), None);
    // All but itself, from the other.
    machine.wrmsr(1, 0x830, 3 << 18 | 0x78).unwrap();
    assert_eq!(machine.interrupt(0), Some(0x78));
    assert_eq!(machine.interrupt(1), None, "0x77 is still in service, and it was not meant");
}

#[test]
fn the_page_of_the_local_apic_is_there_until_it_becomes_an_x2apic() {
    let mut machine = Machine::new(1);
    assert_eq!(machine.fetch(0, APIC + 0x30) & 0xff, 0x14);
    machine.store(0, APIC + 0xf0, 0x1ff);
    // To itself.
    machine.store(0, APIC + 0x300, 1 << 18 | 0x66);
    assert_eq!(machine.interrupt(0), Some(0x66));
    machine.store(0, APIC + 0xb0, 0);
    assert_eq!(machine.vm.bad_accesses().0, 0);
    machine.x2apic(0);
    assert_eq!(machine.fetch(0, APIC + 0x30), u32::MAX);
    assert_eq!(machine.vm.bad_accesses().0, 1);
}

#[test]
fn a_cpu_that_cannot_take_an_interrupt_exits_when_it_can() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.cpu(0).rflags &= !flags::IF;
    machine.wrmsr(0, 0x83f, 0x55).unwrap();
    assert_eq!((machine.cpu(0).pending, machine.cpu(0).window), (None, Window::Interrupt));
    machine.cpu(0).rflags |= flags::IF;
    assert_eq!(machine.interrupt(0), Some(0x55));
    assert_eq!(machine.cpu(0).window, Window::Closed);
}

#[test]
fn two_interrupts_are_taken_one_after_the_other() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.cpu(0).rflags &= !flags::IF;
    for vector in [0x55, 0x66] {
        machine.wrmsr(0, 0x83f, vector).unwrap();
    }
    machine.cpu(0).rflags |= flags::IF;
    assert_eq!(machine.interrupt(0), Some(0x66));
    assert_eq!(machine.interrupt(0), None, "of a lower class");
    machine.wrmsr(0, 0x80b, 0).unwrap();
    assert_eq!(machine.interrupt(0), Some(0x55));
}

#[test]
fn an_nmi_comes_before_interrupts_and_in_spite_of_their_flag() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.cpu(0).rflags &= !flags::IF;
    machine.wrmsr(0, 0x83f, 0x55).unwrap();
    // NMI to itself, by its identifier.
    machine.wrmsr(0, 0x830, 0x400).unwrap();
    assert_eq!(machine.taken(0), Some(Event::NMI));
    machine.cpu(0).in_nmi = true;
    machine.wrmsr(0, 0x830, 0x400).unwrap();
    assert_eq!((machine.taken(0), machine.cpu(0).window), (None, Window::Nmi));
    machine.cpu(0).in_nmi = false;
    let _ = machine.handle(0, ArchExit::NmiWindow);
    assert_eq!((machine.taken(0), machine.cpu(0).window), (Some(Event::NMI), Window::Interrupt));
    machine.cpu(0).rflags |= flags::IF;
    assert_eq!(machine.interrupt(0), Some(0x55));
}

#[test]
fn cr8_is_the_task_priority() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    let access =
        |direction| ArchExit::Control(ControlAccess::Move { register: 8, general: 3, direction });
    machine.cpu(0).general[3] = 5;
    let _ = machine.handle(0, access(Direction::Write));
    assert_eq!(machine.rdmsr(0, 0x808), Ok(0x50));
    machine.wrmsr(0, 0x83f, 0x55).unwrap();
    assert_eq!(machine.interrupt(0), None, "of the class of the priority");
    machine.cpu(0).general[3] = 0;
    let _ = machine.handle(0, access(Direction::Read));
    assert_eq!(machine.cpu(0).general[3], 5);
    machine.cpu(0).general[3] = 4;
    let _ = machine.handle(0, access(Direction::Write));
    assert_eq!(machine.interrupt(0), Some(0x55));
    machine.cpu(0).general[3] = 16;
    let _ = machine.handle(0, access(Direction::Write));
    assert!(machine.is_refused(0));
}

#[test]
fn the_power_key_interrupts_if_the_guest_wants_to_know() {
    use hv_core::guest::Level;
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    redirect(&mut machine, 9, 0x8049, 0);
    // The power button's event.
    machine.out(0, 0x603, 1);
    machine.vm.board().set_power_key(Level::High);
    machine.vm.board().set_power_key(Level::Low);
    machine.look();
    assert_eq!(machine.interrupt(0), Some(0x49));
    assert_eq!(machine.input(0, 0x601), 1);
    machine.out(0, 0x601, 1);
    machine.wrmsr(0, 0x80b, 0).unwrap();
    assert_eq!(machine.interrupt(0), None);
}
