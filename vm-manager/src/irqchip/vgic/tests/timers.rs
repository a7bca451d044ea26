//! Private interrupts: the virtual timer, behind which a physical one stands, and emulated ones.

use super::machine::Machine;
use crate::irqchip::vgic::{HwState, Version};
use hv_core::arch::aarch64::list_register::{Backing, State};
use hv_core::guest::Level;

const TIMER: u32 = 27;

fn fire(machine: &mut Machine, vcpu: usize) {
    machine.enter(vcpu);
    machine.vgic.inject_hw(vcpu, TIMER, TIMER, &mut machine.cpus[vcpu]);
}

#[test]
fn the_timer_goes_straight_to_a_list_register_and_its_end_deactivates_the_physical_one() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        machine.enter(1);
        let before = machine.notifications();
        for _ in 0..10 {
            fire(&mut machine, 1);
            assert_eq!(machine.cpus[1].contents()[0].backing, Backing::Hardware(TIMER));
            assert_eq!(machine.vgic.hw_state(1, TIMER), HwState::PendingOrActive);
            assert_eq!(machine.handle_all(1, 1), [TIMER]);
            assert_eq!(machine.deactivated(1), [TIMER]);
        }
        assert_eq!(machine.notifications(), before);
        machine.migrate(1);
        assert_eq!(machine.vgic.hw_state(1, TIMER), HwState::Inactive);
        assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::Inactive);
    }
}

#[test]
fn a_disabled_timer_waits_until_it_is_enabled() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.disable(0, 0, 1 << TIMER);
    fire(&mut machine, 0);
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::PendingOrActive);
    machine.migrate(0);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::PendingOrActive);
    assert!(!machine.vgic.has_pending(0, None));
    machine.enable(0, 0, 1 << TIMER);
    assert!(machine.has_pending(0));
    assert_eq!(machine.handle_all(0, 1), [TIMER]);
    assert_eq!(machine.deactivated(0), [TIMER]);
}

#[test]
fn a_timer_that_waits_or_is_active_moves_with_its_vcpu() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    fire(&mut machine, 0);
    machine.migrate(0);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::PendingOrActive);
    assert_eq!(machine.acknowledge(0), Some(TIMER));
    machine.migrate(0);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::PendingOrActive);
    machine.enter(0);
    let content = machine.cpus[0].contents()[0];
    assert_eq!((content.state, content.backing), (State::Active, Backing::Hardware(TIMER)));
    machine.end(0);
    assert_eq!(machine.deactivated(0), [TIMER]);
    machine.migrate(0);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::Inactive);
}

#[test]
fn a_timer_ended_through_the_distributor_is_deactivated_by_the_client() {
    for was_acknowledged in [false, true] {
        for moves in [false, true] {
            let mut machine = Machine::ready(Version::V3, 2, 4);
            fire(&mut machine, 0);
            let register = if was_acknowledged {
                assert_eq!(machine.acknowledge(0), Some(TIMER));
                0x380
            } else {
                0x280
            };
            if moves {
                machine.migrate(0);
            }
            machine.write_bits(0, 0, register, 1 << TIMER);
            machine.enter(0);
            assert_eq!(machine.deactivated(0), [TIMER]);
            assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::Inactive);
            fire(&mut machine, 0);
            machine.enter(0);
            assert_eq!(machine.cpus[0].contents()[0].backing, Backing::Hardware(TIMER));
        }
    }
}

#[test]
fn a_timer_made_pending_by_hand_has_nothing_physical_behind_it() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.set_edge(0, TIMER);
    for _ in 0..3 {
        machine.write_bits(0, 0, 0x200, 1 << TIMER);
        assert_eq!(machine.handle_all(0, 1), [TIMER]);
        assert_eq!(machine.deactivated(0), [0_u32; 0]);
        fire(&mut machine, 0);
        assert_eq!(machine.acknowledge(0), Some(TIMER));
        // Once more while it is active: the guest's end has to be announced now.
        machine.write_bits(0, 0, 0x200, 1 << TIMER);
        machine.end(0);
        assert_eq!(machine.deactivated(0), [TIMER]);
        assert_eq!(machine.handle_all(0, 1), [TIMER]);
        assert_eq!(machine.deactivated(0), [0_u32; 0]);
    }
}

#[test]
fn a_timer_finds_room_among_finished_interrupts_that_nobody_noted() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    for sgi in 0..4 {
        machine.send(0, 1, sgi);
    }
    assert_eq!(machine.handle_all(0, 4), [0, 1, 2, 3]);
    let before = machine.notifications();
    fire(&mut machine, 0);
    assert_eq!(machine.notifications(), before);
    assert_eq!(machine.handle_all(0, 4), [TIMER]);
    for sgi in 0..4 {
        machine.send(0, 1, sgi);
    }
    assert_eq!(machine.handle_all(0, 4), [0, 1, 2, 3]);
}

#[test]
fn a_timer_with_all_list_registers_full_comes_by_its_priority() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    for intid in 32..40 {
        machine.line(intid, Level::High);
    }
    machine.set_priority(0, TIMER, 0x10);
    machine.enter(0);
    fire(&mut machine, 0);
    assert_eq!(machine.acknowledge(0), Some(TIMER));
    // Displaced while pending, it comes back with its physical interrupt.
    machine.end(0);
    machine.set_priority(0, TIMER, 0xf0);
    for intid in 36..40 {
        machine.line(intid, Level::Low);
    }
    machine.line(35, Level::Low);
    machine.enter(0);
    fire(&mut machine, 0);
    machine.line(35, Level::High);
    machine.enter(0);
    assert_eq!(machine.vgic.hw_state(0, TIMER), HwState::PendingOrActive);
    for intid in 32..36 {
        assert_eq!(machine.acknowledge(0), Some(intid));
        machine.line(intid, Level::Low);
        machine.end(0);
    }
    assert_eq!(machine.deactivated(0), [TIMER]);
    assert_eq!(machine.handle_all(0, 1), [TIMER]);
    assert_eq!(machine.deactivated(0), [TIMER]);
}

#[test]
fn an_emulated_timer_is_a_level() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        machine.vgic.set_private_level(1, 30, Level::High);
        assert!(machine.vgic.has_pending(1, None));
        assert!(!machine.vgic.has_pending(0, None));
        for _ in 0..3 {
            assert_eq!(machine.acknowledge(1), Some(30));
            machine.end(1);
        }
        machine.vgic.set_private_level(1, 30, Level::Low);
        assert_eq!(machine.acknowledge(1), None);
        assert_eq!(machine.acknowledge(0), None);
    }
}

#[test]
fn numbers_that_are_not_private_peripherals_are_ignored() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    machine.enter(0);
    for intid in [0, 15, 32, 1023, u32::MAX] {
        machine.vgic.set_private_level(0, intid, Level::High);
        machine.vgic.inject_hw(0, intid, 27, &mut machine.cpus[0]);
    }
    machine.vgic.set_private_level(7, 30, Level::High);
    machine.vgic.inject_hw(7, 27, 27, &mut machine.cpus[0]);
    machine.vgic.flush(7, &mut machine.cpus[0]);
    machine.vgic.fold_all(99, &mut machine.cpus[0]);
    assert_eq!(machine.acknowledge(0), None);
}
