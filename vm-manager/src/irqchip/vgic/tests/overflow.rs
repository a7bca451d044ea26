//! More interrupts than list registers.

use super::machine::Machine;
use crate::irqchip::vgic::Version;
use hv_core::arch::aarch64::list_register::Underflow;
use hv_core::guest::Level;

#[test]
fn a_storm_on_every_line_is_handled_in_the_order_of_priority_and_number() {
    for (version, list_registers) in
        [(Version::V2, 4), (Version::V3, 4), (Version::V3, 16), (Version::V3, 1), (Version::V2, 2)]
    {
        let mut machine = Machine::ready(version, 1, list_registers);
        let mut expected: Vec<(u8, u32)> = Vec::new();
        for intid in 32..128 {
            let priority = (intid * 37 % 30) as u8 * 8;
            machine.set_edge(0, intid);
            machine.set_priority(0, intid, priority);
            expected.push((priority, intid));
        }
        expected.sort_unstable();
        for intid in (32..128).rev() {
            machine.line(intid, Level::High);
        }
        let handled = machine.handle_all(0, 96);
        let expected: Vec<u32> = expected.into_iter().map(|(_, intid)| intid).collect();
        assert_eq!(handled, expected, "{version:?} with {list_registers}");
        assert_eq!(machine.cpus[0].underflow(), Underflow::Quiet);
    }
}

#[test]
fn a_more_important_newcomer_displaces_a_pending_one() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    for intid in 32..40 {
        machine.line(intid, Level::High);
    }
    machine.enter(0);
    machine.set_priority(0, 100, 0x20);
    machine.line(100, Level::High);
    assert_eq!(machine.acknowledge(0), Some(100));
    assert_eq!(machine.cpus[0].contents().len(), 4);
}

#[test]
fn active_ones_are_not_displaced_and_the_next_end_makes_room() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 1, 4);
        for (nesting, intid) in (40..45).enumerate() {
            machine.set_edge(0, intid);
            machine.set_priority(0, intid, 0x80 - 0x10 * nesting as u8);
            machine.line(intid, Level::High);
            let taken = machine.acknowledge(0);
            assert_eq!(taken, (intid < 44).then_some(intid));
        }
        assert!(machine.has_pending(0));
        assert_eq!(machine.end(0), Some(43));
        assert_eq!(machine.acknowledge(0), Some(44), "it comes before those still active");
        for intid in [44, 42, 41, 40] {
            assert_eq!(machine.end(0), Some(intid));
        }
        assert_eq!(machine.acknowledge(0), None);
        assert!(machine.cpus[0].contents().is_empty());
    }
}

#[test]
fn with_one_list_register_and_one_active_the_next_comes_at_its_end() {
    let mut machine = Machine::ready(Version::V3, 1, 1);
    machine.set_edge(0, 50);
    machine.line(50, Level::High);
    assert_eq!(machine.acknowledge(0), Some(50));
    machine.line(60, Level::High);
    machine.send(0, 1, 5);
    assert_eq!(machine.acknowledge(0), None);
    machine.line(60, Level::Low);
    assert_eq!(machine.end(0), Some(50));
    assert_eq!(machine.handle_all(0, 9), [5]);
}

#[test]
fn one_that_the_guest_made_active_by_hand_can_be_ended() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        machine.write_bits(0, 1, 0x300, 1 << 3);
        machine.line(35, Level::High);
        assert_eq!(machine.acknowledge(0), None, "it is active");
        assert_eq!(machine.read_bits(1, 1, 0x300), 1 << 3);
        machine.write_bits(1, 1, 0x380, 1 << 3);
        assert_eq!(machine.acknowledge(0), Some(35));
        // Another vCPU ends what is active in the list register of this one.
        machine.write_bits(1, 1, 0x380, 1 << 3);
        machine.line(35, Level::Low);
        machine.enter(0);
        assert!(machine.cpus[0].contents().is_empty());
        assert_eq!(machine.read_bits(1, 1, 0x300), 0);
    }
}

#[test]
fn a_pending_edge_can_be_taken_back_by_any_vcpu() {
    let mut machine = Machine::ready(Version::V3, 2, 4);
    machine.set_edge(0, 40);
    machine.line(40, Level::High);
    machine.enter(0);
    assert_eq!(machine.read_bits(1, 1, 0x200), 1 << 8);
    machine.write_bits(1, 1, 0x280, 1 << 8);
    assert_eq!(machine.read_bits(1, 1, 0x200), 0);
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn a_level_made_pending_by_hand_does_not_need_its_line() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(40, Level::High);
    machine.enter(0);
    machine.write_bits(0, 1, 0x200, 1 << 8);
    machine.enter(0);
    machine.line(40, Level::Low);
    assert_eq!(machine.handle_all(0, 9), [40]);
    machine.write_bits(0, 1, 0x200, 1 << 8);
    machine.migrate(0);
    machine.enter(0);
    machine.migrate(0);
    assert_eq!(machine.handle_all(0, 9), [40]);
}
