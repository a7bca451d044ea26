//! Interrupts between processors, and from IOAPICs.

use super::machine::{DFR, ESR, ICR, ICR_HIGH, LDR, LVT_ERROR, Machine, SVR, TMR, TPR};
use crate::irqchip::apic_message::{Delivery, Destination, Message, Trigger};
use crate::irqchip::lapic::Reception;

fn fixed(destination: Destination, vector: u8) -> Message {
    Message { destination, delivery: Delivery::Fixed, vector, trigger: Trigger::Edge }
}

#[test]
fn a_vector_goes_to_the_id_that_it_names() {
    let mut machine = Machine::enabled(4);
    machine.send(0, 2, 0x40f0);
    assert_eq!(machine.drain_all(), [vec![], vec![], vec![0xf0], vec![]]);
    machine.send(0, 7, 0x40f0);
    assert!(machine.drain_all().concat().is_empty());
    assert_eq!((machine.read(0, ICR), machine.read(0, ICR_HIGH)), (0x40f0, 7 << 24));
}

#[test]
fn shorthands_name_no_destination() {
    let mut machine = Machine::enabled(3);
    machine.send(1, 0, 0x4_40f0);
    assert_eq!(machine.drain_all(), [vec![], vec![0xf0], vec![]]);
    machine.send(1, 0, 0x8_40f1);
    assert_eq!(machine.drain_all(), [vec![0xf1], vec![0xf1], vec![0xf1]]);
    machine.send(1, 0, 0xc_40f2);
    assert_eq!(machine.drain_all(), [vec![0xf2], vec![], vec![0xf2]]);
    machine.send(1, 0xff, 0x40f3);
    assert_eq!(machine.drain_all(), [vec![0xf3], vec![0xf3], vec![0xf3]]);
}

#[test]
fn to_itself_only_a_vector_is_sent() {
    let mut machine = Machine::enabled(2);
    for mode in [0x200, 0x400, 0x500, 0x600] {
        machine.send(0, 0, 0x4_4000 | mode | 0xf0);
    }
    assert!(machine.received.is_empty());
    assert!(machine.drain_all().concat().is_empty());
}

#[test]
fn flat_logical_destinations_are_bits() {
    let mut machine = Machine::enabled(4);
    machine.send(0, 0b1010, 0x48f0);
    assert_eq!(machine.drain_all(), [vec![], vec![0xf0], vec![], vec![0xf0]]);
}

#[test]
fn clustered_logical_destinations_are_bits_of_a_cluster() {
    let mut machine = Machine::enabled(4);
    for cpu in 0..4 {
        machine.write(cpu, DFR, 0x0fff_ffff);
        machine.write(cpu, LDR, [0x11, 0x12, 0x21, 0x22][cpu] << 24);
    }
    machine.send(0, 0x23, 0x48f0);
    assert_eq!(machine.drain_all(), [vec![], vec![], vec![0xf0], vec![0xf0]]);
    machine.send(0, 0x12, 0x48f1);
    assert_eq!(machine.drain_all(), [vec![], vec![0xf1], vec![], vec![]]);
    machine.send(0, 0xff, 0x48f2);
    assert_eq!(machine.drain_all(), [[0xf2], [0xf2], [0xf2], [0xf2]]);
}

#[test]
fn x2apics_have_logical_ids_of_their_own() {
    let mut machine = Machine::x2apic(20);
    assert_eq!((machine.read_msr(0, 0x80d), machine.read_msr(18, 0x80d)), (1, 0x1_0004));
    machine.write_msr(0, 0x830, 0x0001_000c_0000_08f0);
    let taken = machine.drain_all();
    let who: Vec<usize> = (0..20).filter(|&cpu| taken[cpu] == [0xf0]).collect();
    assert_eq!(who, [18, 19]);
    machine.write_msr(0, 0x830, 0x0000_0005_0000_00f1);
    assert_eq!(machine.drain(5), [0xf1]);
    machine.write_msr(3, 0x83f, 0xf2);
    assert_eq!(machine.drain(3), [0xf2]);
    machine.write_msr(0, 0x830, 0xffff_ffff_0000_00f3);
    assert_eq!(machine.drain_all().concat(), [0xf3; 20]);
}

#[test]
fn the_lowest_priority_takes_it() {
    let mut machine = Machine::enabled(3);
    for (cpu, priority) in [0x50, 0x20, 0x40].into_iter().enumerate() {
        machine.write(cpu, TPR, priority);
    }
    let message = |vector| Message {
        delivery: Delivery::LowestPriority,
        ..fixed(Destination::Logical(0b111), vector)
    };
    machine.deliver(&message(0x91));
    assert_eq!(machine.drain_all(), [vec![], vec![0x91], vec![]]);
    machine.write(1, SVR, 0x0ff);
    machine.deliver(&message(0x92));
    assert_eq!(machine.drain_all(), [vec![], vec![], vec![0x92]], "one that is disabled does not");
    machine.write(2, SVR, 0x0ff);
    machine.write(0, SVR, 0x0ff);
    machine.deliver(&message(0x93));
    assert!(machine.drain_all().concat().is_empty());
}

/// Linux's `wakeup_secondary_cpu_via_init`.
#[test]
fn linux_starts_a_processor() {
    let mut machine = Machine::enabled(2);
    machine.write(1, SVR, 0x0ff);
    machine.send(0, 1, 0xc500);
    machine.send(0, 1, 0x8500);
    machine.send(0, 1, 0x0699);
    machine.send(0, 1, 0x0699);
    assert_eq!(
        machine.received,
        [(1, Reception::Init), (1, Reception::Startup(0x99)), (1, Reception::Startup(0x99)),],
        "the de-assertion does nothing"
    );
}

#[test]
fn an_nmi_comes_in_also_where_software_has_disabled_the_apic() {
    let mut machine = Machine::enabled(3);
    machine.write(1, SVR, 0x0ff);
    machine.send(0, 0, 0xc_4402);
    assert_eq!(machine.received, [(1, Reception::Nmi), (2, Reception::Nmi)]);
    machine.received.clear();
    machine.send(0, 1, 0x40f0);
    assert_eq!(machine.received, [(1, Reception::Refused)]);
}

#[test]
fn reserved_modes_send_nothing() {
    let mut machine = Machine::enabled(2);
    for mode in [3, 7] {
        machine.send(0, 0, 0x8_4000 | mode << 8 | 0xf0);
    }
    assert!(machine.received.is_empty());
    assert!(machine.drain_all().concat().is_empty());
}

#[test]
fn an_illegal_vector_is_an_error_where_it_is_sent() {
    let mut machine = Machine::enabled(2);
    machine.send(0, 1, 0x400f);
    assert_eq!(machine.read(0, ESR), 0, "it shows at a write");
    machine.write(0, ESR, 0);
    assert_eq!(machine.read(0, ESR), 0x20);
    machine.write(0, ESR, 0);
    assert_eq!(machine.read(0, ESR), 0);
    assert_eq!(machine.drain_all(), [vec![0xfe], vec![]]);
}

#[test]
fn an_illegal_vector_is_an_error_where_it_is_received() {
    let mut machine = Machine::enabled(2);
    machine.deliver(&fixed(Destination::Physical(1), 3));
    assert_eq!(machine.received, [(1, Reception::Refused)]);
    machine.write(1, ESR, 0);
    assert_eq!(machine.read(1, ESR), 0x40);
    assert_eq!(machine.drain(1), [0xfe]);
}

#[test]
fn a_register_that_is_none_is_an_error() {
    let mut machine = Machine::enabled(1);
    assert_eq!(machine.read(0, 0x40), 0);
    machine.write(0, 0x3f0, 0);
    assert_eq!(machine.drain(0), [0xfe], "told once until it is looked at");
    machine.write(0, ESR, 0);
    assert_eq!(machine.read(0, ESR), 0x80);
}

#[test]
fn an_illegal_error_vector_goes_no_further() {
    let mut machine = Machine::enabled(1);
    machine.write(0, LVT_ERROR, 0x03);
    machine.send(0, 0, 0x4003);
    machine.write(0, ESR, 0);
    assert_eq!(machine.read(0, ESR), 0x60);
    assert!(machine.drain(0).is_empty());
}

#[test]
fn the_end_of_a_level_is_told_and_that_of_an_edge_is_not() {
    let mut machine = Machine::enabled(1);
    let level = Message { trigger: Trigger::Level, ..fixed(Destination::Physical(0), 0x41) };
    machine.deliver(&level);
    machine.deliver(&fixed(Destination::Physical(0), 0x51));
    assert_eq!(machine.read(0, TMR + 0x20), 1 << 1);
    assert_eq!(machine.drain(0), [0x51, 0x41]);
    assert_eq!(machine.ended, [0x41]);
    machine.deliver(&fixed(Destination::Physical(0), 0x41));
    machine.drain(0);
    assert_eq!(machine.ended, [0x41], "an edge of the same vector");
    machine.write(0, SVR, 0x11ff);
    machine.deliver(&level);
    machine.drain(0);
    assert_eq!(machine.ended, [0x41], "the broadcast is suppressed");
}
