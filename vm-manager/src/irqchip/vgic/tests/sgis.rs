//! Software-generated interrupts.

use super::machine::Machine;
use crate::irqchip::vgic::{Frame, SgiRegister, Version};
use hv_core::guest::{Level, Width};

#[test]
fn an_sgi_to_oneself_is_in_a_list_register_at_once_and_each_time() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        machine.enter(0);
        let before = machine.notifications();
        for _ in 0..10 {
            machine.send(0, 1, 7);
            assert_eq!(machine.cpus[0].contents()[0].intid, 7);
            assert_eq!(machine.handle_all(0, 9), [7]);
        }
        assert_eq!(machine.notifications(), before, "nobody had to flush");
    }
}

#[test]
fn an_sgi_reaches_each_target_once() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 4, 4);
        machine.send(0, 0b1011, 2);
        machine.send(0, 0b1000, 2);
        for vcpu in 0..4 {
            let expected: &[u32] = if vcpu == 2 { &[] } else { &[2] };
            assert_eq!(machine.handle_all(vcpu, 9), expected);
        }
    }
}

#[test]
fn an_sgi_sent_while_the_last_one_is_active_comes_after_its_end() {
    for version in [Version::V2, Version::V3] {
        let mut machine = Machine::ready(version, 2, 4);
        for sender in [0, 1] {
            machine.send(sender, 1, 4);
            assert_eq!(machine.acknowledge(0), Some(4));
            machine.send(sender, 1, 4);
            assert_eq!(machine.acknowledge(0), None);
            machine.end(0);
            assert_eq!(machine.handle_all(0, 9), [4]);
        }
    }
}

#[test]
fn on_v2_the_same_sgi_of_several_senders_comes_once_from_each() {
    let mut machine = Machine::ready(Version::V2, 4, 4);
    for sender in [3, 1, 2, 1] {
        machine.send(sender, 1, 9);
    }
    assert_eq!(machine.read(0, Frame::Distributor, 0xf28, Width::B4), 0b1110 << 8);
    for expected in 1..4 {
        assert_eq!(machine.acknowledge_from(0), Some((9, expected)));
        machine.migrate(0);
        assert_eq!(machine.acknowledge(0), None);
        machine.end(0);
    }
    assert_eq!(machine.acknowledge(0), None);
}

#[test]
fn on_v2_another_sender_while_active_waits_for_the_end() {
    let mut machine = Machine::ready(Version::V2, 4, 4);
    machine.send(0, 1, 9);
    assert_eq!(machine.acknowledge_from(0), Some((9, 0)));
    machine.send(2, 1, 9);
    machine.send(0, 1, 9);
    assert_eq!(machine.acknowledge_from(0), None);
    machine.end(0);
    assert_eq!(machine.acknowledge_from(0), Some((9, 0)));
    machine.end(0);
    assert_eq!(machine.acknowledge_from(0), Some((9, 2)));
    machine.end(0);
    assert_eq!(machine.acknowledge_from(0), None);
}

#[test]
fn on_v2_each_sgi_names_its_own_sender_even_in_the_same_list_register() {
    let mut machine = Machine::ready(Version::V2, 2, 4);
    for round in 0..6 {
        let sender = round % 3 % 2;
        machine.send(sender, 1, 6);
        assert_eq!(machine.acknowledge_from(0), Some((6, sender as u8)));
        machine.end(0);
    }
}

#[test]
fn on_v2_senders_can_be_set_and_taken_back() {
    let mut machine = Machine::ready(Version::V2, 4, 4);
    machine.access(0, Frame::Distributor, 0xf25, Width::B1, 0xf6);
    assert_eq!(machine.read(0, Frame::Distributor, 0xf24, Width::B4), 0x0600);
    machine.enter(0);
    machine.access(0, Frame::Distributor, 0xf15, Width::B1, 0x02);
    assert_eq!(machine.read(0, Frame::Distributor, 0xf15, Width::B1), 0x04);
    assert_eq!(machine.acknowledge_from(0), Some((5, 2)));
    machine.end(0);
    assert_eq!(machine.acknowledge_from(0), None);
    // SGIs are neither disabled nor made pending by the registers of bits.
    machine.disable(0, 0, 0xffff);
    machine.write_bits(0, 0, 0x200, 0xffff);
    assert_eq!(machine.acknowledge(0), None);
    machine.send(0, 1, 0);
    assert_eq!(machine.acknowledge(0), Some(0));
}

#[test]
fn the_filters_of_v2() {
    let mut machine = Machine::ready(Version::V2, 4, 4);
    let handled = |machine: &mut Machine| -> Vec<usize> {
        (0..4).filter(|&vcpu| !machine.handle_all(vcpu, 9).is_empty()).collect()
    };
    machine.write(1, 0xf00, 1 << 24 | 0xff << 16 | 3);
    assert_eq!(handled(&mut machine), [0, 2, 3]);
    machine.write(1, 0xf00, 2 << 24 | 3);
    assert_eq!(handled(&mut machine), [1]);
    machine.write(1, 0xf00, 3 << 24 | 0xff << 16 | 3);
    assert_eq!(handled(&mut machine), [0_usize; 0]);
    machine.write(1, 0xf00, 0xf8 << 16 | 3);
    assert_eq!(handled(&mut machine), [3]);
}

#[test]
fn the_fields_of_v3() {
    let mut machine = Machine::ready(Version::V3, 4, 4);
    let mut send = |register, value| -> Vec<usize> {
        machine.vgic.send_sgi(2, register, value, &mut machine.cpus[2]);
        (0..4).filter(|&vcpu| machine.handle_all(vcpu, 9) == [5]).collect()
    };
    assert_eq!(send(SgiRegister::Sgi1r, 1 << 40 | 5 << 24), [0, 1, 3]);
    assert_eq!(send(SgiRegister::Sgi1r, 5 << 24 | 0xffff), [0, 1, 2, 3]);
    for elsewhere in [1 << 16, 1 << 32, 1 << 44, 1 << 48] {
        assert_eq!(send(SgiRegister::Sgi1r, elsewhere | 5 << 24 | 0xf), [0_usize; 0]);
    }
    assert_eq!(send(SgiRegister::Sgi0r, 5 << 24 | 0xf), [0_usize; 0]);
    // In Group 0 it is reached by all three.
    machine.write_bits(1, 0, 0x080, !(1 << 5));
    for register in [SgiRegister::Sgi0r, SgiRegister::Sgi1r, SgiRegister::Asgi1r] {
        machine.vgic.send_sgi(2, register, 5 << 24 | 0xf, &mut machine.cpus[2]);
        assert_eq!(machine.handle_all(1, 9), [5]);
        for vcpu in [0, 2, 3] {
            machine.handle_all(vcpu, 9);
        }
    }
}

#[test]
fn a_disabled_sgi_waits_without_waking_its_target() {
    let mut machine = Machine::ready(Version::V3, 2, 4);
    machine.enter(1);
    machine.disable(1, 0, 1 << 6);
    let before = machine.notifications();
    machine.send(0, 2, 6);
    assert_eq!(machine.notifications(), before);
    assert!(!machine.has_pending(1));
    machine.enable(1, 0, 1 << 6);
    assert_eq!(machine.acknowledge(1), Some(6));
}

#[test]
fn an_sgi_to_oneself_does_not_pass_those_that_wait_for_a_list_register() {
    let mut machine = Machine::ready(Version::V3, 1, 4);
    for intid in 32..40 {
        machine.set_priority(0, intid, 0x40);
        machine.set_edge(0, intid);
        machine.line(intid, Level::High);
    }
    assert_eq!(machine.acknowledge(0), Some(32));
    machine.cpus[0].end();
    machine.vgic.send_sgi(0, SgiRegister::Sgi1r, 1, &mut machine.cpus[0]);
    assert_eq!(machine.handle_all(0, 9), [33, 34, 35, 36, 37, 38, 39, 0]);
}
