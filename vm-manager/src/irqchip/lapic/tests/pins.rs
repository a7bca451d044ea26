//! The pins: the 8259 pair and the NMI.

use super::machine::{LVT_LINT0, LVT_LINT1, Machine, SVR};
use crate::irqchip::apic_message::{Delivery, Destination, Message, Trigger};
use crate::irqchip::lapic::{Interrupt, Lint, Reception};
use hv_core::guest::Level;

#[test]
fn in_virtual_wire_mode_the_pair_interrupts_as_long_as_its_wire_is_high() {
    let mut machine = Machine::new(1);
    let apic = &mut machine.apics[0];
    apic.start_virtual_wire();
    assert_eq!(apic.pending(), None);
    assert_eq!(apic.set_lint(Lint::Zero, Level::High), Reception::Waits);
    assert_eq!(apic.pending(), Some(Interrupt::External));
    apic.acknowledge_external();
    assert_eq!(apic.pending(), Some(Interrupt::External), "the pair lowers its wire");
    assert_eq!(apic.set_lint(Lint::Zero, Level::Low), Reception::Refused);
    assert_eq!(apic.pending(), None);
    assert_eq!(apic.set_lint(Lint::One, Level::High), Reception::Nmi);
    assert_eq!(apic.set_lint(Lint::One, Level::High), Reception::Refused, "an edge");
}

/// Linux masks `LINT0` once it uses the IOAPIC.
#[test]
fn a_masked_pin_interrupts_nobody() {
    let mut machine = Machine::new(1);
    machine.apics[0].start_virtual_wire();
    machine.write(0, LVT_LINT0, 0x1_0700);
    machine.write(0, LVT_LINT1, 0x1_0400);
    assert_eq!(machine.apics[0].set_lint(Lint::Zero, Level::High), Reception::Refused);
    assert_eq!(machine.apics[0].set_lint(Lint::One, Level::High), Reception::Refused);
    assert_eq!(machine.apics[0].pending(), None);
}

#[test]
fn disabled_the_apic_is_not_in_the_way() {
    let mut machine = Machine::new(1);
    let apic = &mut machine.apics[0];
    apic.set_base(0xfee0_0100).unwrap();
    assert_eq!(apic.set_lint(Lint::Zero, Level::High), Reception::Waits);
    assert_eq!(apic.pending(), Some(Interrupt::External));
    assert_eq!(apic.set_lint(Lint::One, Level::High), Reception::Nmi);
}

#[test]
fn a_level_at_lint0_interrupts_again_at_each_end() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_LINT0, 0x8041);
    assert_eq!(machine.apics[0].set_lint(Lint::Zero, Level::High), Reception::Waits);
    assert_eq!(machine.read(0, LVT_LINT0), 0xc041);
    assert_eq!(machine.take(0), Some(0x41));
    machine.write(0, 0xb0, 0);
    assert_eq!(machine.take(0), Some(0x41));
    let _ = machine.apics[0].set_lint(Lint::Zero, Level::Low);
    machine.write(0, 0xb0, 0);
    assert_eq!((machine.take(0), machine.read(0, LVT_LINT0)), (None, 0x8041));
}

#[test]
fn an_edge_at_a_pin_is_a_vector() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_LINT1, 0x8042);
    assert_eq!(machine.apics[0].set_lint(Lint::One, Level::High), Reception::Waits);
    assert_eq!(machine.drain(0), [0x42], "LINT1 knows no levels");
    assert!(machine.ended.is_empty());
}

#[test]
fn the_pair_may_come_by_a_message() {
    let mut machine = Machine::enabled(1);
    let message = Message {
        destination: Destination::Physical(0),
        delivery: Delivery::External,
        vector: 0,
        trigger: Trigger::Edge,
    };
    machine.deliver(&message);
    assert_eq!(machine.apics[0].pending(), Some(Interrupt::External));
    machine.apics[0].acknowledge_external();
    assert_eq!(machine.apics[0].pending(), None);
    machine.write(0, SVR, 0xff);
    machine.deliver(&message);
    assert_eq!(machine.received, [(0, Reception::Refused)]);
}
