//! Level-sensitive and edge-triggered lines.

use super::machine::Machine;
use crate::irqchip::vgic::Version;
use hv_core::arch::aarch64::list_register::{Backing, State};
use hv_core::guest::Level;

const SPI: u32 = 33;
const BOTH: [Version; 2] = [Version::V2, Version::V3];

#[test]
fn a_line_that_stays_high_is_taken_again_and_again_until_it_falls() {
    for version in BOTH {
        let mut machine = Machine::ready(version, 1, 4);
        machine.line(SPI, Level::High);
        for _ in 0..5 {
            assert_eq!(machine.acknowledge(0), Some(SPI));
            assert_eq!(machine.acknowledge(0), None, "it is active");
            assert_eq!(machine.end(0), Some(SPI));
        }
        machine.line(SPI, Level::Low);
        assert_eq!(machine.acknowledge(0), None);
    }
}

#[test]
fn a_line_that_the_handler_lowers_is_taken_once() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(SPI, Level::High);
    assert_eq!(machine.acknowledge(0), Some(SPI));
    machine.line(SPI, Level::Low);
    assert_eq!(machine.end(0), Some(SPI));
    assert_eq!(machine.acknowledge(0), None);
    assert!(!machine.has_pending(0));
}

#[test]
fn a_line_that_falls_before_it_is_acknowledged_is_withdrawn() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(SPI, Level::High);
    machine.enter(0);
    assert!(machine.has_pending(0));
    machine.line(SPI, Level::Low);
    assert_eq!(machine.acknowledge(0), None);
    assert!(machine.cpus[0].contents().is_empty());
    assert!(!machine.has_pending(0));
}

#[test]
fn a_line_that_rises_again_while_active_is_taken_once_more() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(SPI, Level::High);
    assert_eq!(machine.acknowledge(0), Some(SPI));
    machine.line(SPI, Level::Low);
    machine.line(SPI, Level::High);
    assert_eq!(machine.end(0), Some(SPI));
    assert_eq!(machine.acknowledge(0), Some(SPI));
}

#[test]
fn an_edge_is_taken_once_and_one_that_comes_while_active_once_more() {
    for version in BOTH {
        let mut machine = Machine::ready(version, 1, 4);
        machine.set_edge(0, SPI);
        machine.line(SPI, Level::High);
        assert_eq!(machine.acknowledge(0), Some(SPI));
        for _ in 0..3 {
            machine.line(SPI, Level::Low);
            machine.line(SPI, Level::High);
        }
        machine.enter(0);
        assert_eq!(machine.cpus[0].contents()[0].state, State::PendingAndActive);
        assert_eq!(machine.end(0), Some(SPI));
        assert_eq!(machine.handle_all(0, 9), [SPI]);
    }
}

#[test]
fn an_edge_is_not_lost_when_its_line_falls_at_once() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.set_edge(0, SPI);
    machine.line(SPI, Level::High);
    machine.line(SPI, Level::Low);
    assert_eq!(machine.handle_all(0, 9), [SPI]);
}

#[test]
fn a_wire_without_an_interrupt_or_with_a_private_one_does_nothing() {
    let machine = Machine::ready(Version::V3, 1, 4);
    let before = machine.notifications();
    for intid in [0, 27, 31, 128, 1019, 1023, u32::MAX] {
        machine.vgic.set_level(intid, Level::High);
    }
    assert_eq!(machine.notifications(), before);
    assert!(machine.vgic.line(31).is_none());
    assert!(machine.vgic.line(128).is_none());
    machine.vgic.line(127).unwrap().set(Level::High);
    assert!(machine.is_asked(0));
}

#[test]
fn driving_a_wire_to_the_level_that_it_has_notifies_nobody() {
    let machine = Machine::ready(Version::V3, 1, 4);
    machine.vgic.set_level(SPI, Level::High);
    let before = machine.notifications();
    machine.vgic.set_level(SPI, Level::High);
    assert_eq!(machine.notifications(), before);
}

#[test]
fn disabling_takes_a_pending_one_out_and_enabling_brings_it_back() {
    for edge in [false, true] {
        let mut machine = Machine::ready(Version::V3, 1, 4);
        if edge {
            machine.set_edge(0, SPI);
        }
        machine.line(SPI, Level::High);
        machine.enter(0);
        machine.disable(0, 1, 1 << (SPI - 32));
        assert_eq!(machine.acknowledge(0), None);
        assert!(machine.cpus[0].contents().is_empty());
        assert!(!machine.has_pending(0));
        machine.enable(0, 1, 1 << (SPI - 32));
        assert_eq!(machine.acknowledge(0), Some(SPI));
    }
}

#[test]
fn disabling_an_active_one_leaves_it_to_the_guest_to_end() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.line(SPI, Level::High);
    assert_eq!(machine.acknowledge(0), Some(SPI));
    machine.disable(0, 1, 1 << (SPI - 32));
    machine.enter(0);
    assert_eq!(machine.read_bits(0, 1, 0x300), 1 << (SPI - 32));
    assert_eq!(machine.end(0), Some(SPI));
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.read_bits(0, 1, 0x300), 0);
    machine.enable(0, 1, 1 << (SPI - 32));
    assert_eq!(machine.acknowledge(0), Some(SPI));
}

#[test]
fn a_group_that_is_not_forwarded_is_pending_and_no_more() {
    for version in BOTH {
        let mut machine = Machine::ready(version, 1, 4);
        machine.line(SPI, Level::High);
        machine.enter(0);
        machine.write(0, 0, 0);
        assert_eq!(machine.acknowledge(0), None);
        assert_eq!(machine.read_bits(0, 1, 0x200), 1 << (SPI - 32));
        machine.write(0, 0, 3);
        assert_eq!(machine.acknowledge(0), Some(SPI));
    }
}

#[test]
fn the_end_of_a_level_is_always_announced_and_that_of_an_edge_only_if_need_be() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.set_edge(0, 34);
    machine.line(SPI, Level::High);
    machine.line(34, Level::High);
    machine.enter(0);
    let backing = |intid| {
        let contents = machine.cpus[0].contents();
        contents.iter().find(|content| content.intid == intid).unwrap().backing
    };
    assert_eq!(backing(SPI), Backing::SoftwareEoi);
    assert_eq!(backing(34), Backing::Software);
}

#[test]
fn a_vcpu_that_moves_takes_its_pending_and_active_interrupts_along() {
    for version in BOTH {
        let mut machine = Machine::ready(version, 2, 4);
        machine.set_edge(0, 40);
        machine.set_priority(0, 40, 0x40);
        machine.line(SPI, Level::High);
        assert_eq!(machine.acknowledge(0), Some(SPI));
        machine.line(40, Level::High);
        machine.send(1, 1, 3);
        machine.migrate(0);
        assert!(machine.vgic.has_pending(0, None));
        assert_eq!(machine.acknowledge(0), Some(40), "it preempts");
        machine.line(40, Level::Low);
        machine.line(40, Level::High);
        machine.enter(0);
        machine.migrate(0);
        let mut states: Vec<_> = {
            machine.enter(0);
            machine.cpus[0].contents().iter().map(|c| (c.intid, c.state)).collect()
        };
        states.sort_by_key(|&(intid, _)| intid);
        let expected = [(3, State::Pending), (SPI, State::Active), (40, State::PendingAndActive)];
        assert_eq!(states, expected);
        machine.line(SPI, Level::Low);
        assert_eq!(machine.end(0), Some(40));
        assert_eq!(machine.acknowledge(0), Some(40));
        assert_eq!(machine.end(0), Some(40));
        assert_eq!(machine.end(0), Some(SPI));
        assert_eq!(machine.handle_all(0, 9), [3]);
        machine.migrate(0);
        assert!(!machine.vgic.has_pending(0, None));
    }
}

#[test]
fn a_new_route_takes_a_pending_one_along_and_leaves_an_active_one() {
    for version in BOTH {
        let mut machine = Machine::ready(version, 2, 4);
        machine.line(SPI, Level::High);
        machine.enter(0);
        machine.route(1, SPI, 1);
        assert_eq!(machine.acknowledge(0), None);
        assert_eq!(machine.acknowledge(1), Some(SPI));
        machine.route(1, SPI, 0);
        machine.migrate(1);
        assert_eq!(machine.acknowledge(0), None, "it is still active");
        assert_eq!(machine.end(1), Some(SPI));
        assert_eq!(machine.acknowledge(1), None);
        assert_eq!(machine.acknowledge(0), Some(SPI));
    }
}

#[test]
fn an_edge_that_ended_unnoticed_on_one_vcpu_reaches_the_one_that_it_is_now_routed_to() {
    let mut machine = Machine::ready(Version::V3, 2, 4);
    machine.set_edge(0, SPI);
    machine.line(SPI, Level::High);
    assert_eq!(machine.handle_all(0, 1), [SPI]);
    machine.line(SPI, Level::Low);
    machine.route(0, SPI, 1);
    machine.line(SPI, Level::High);
    machine.enter(0);
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.acknowledge(1), Some(SPI));
}
