//! What Linux's driver for GICv2 does at boot and afterwards, as its registers see it.

use super::machine::Machine;
use crate::irqchip::vgic::{Frame, Version};
use hv_core::arch::aarch64::list_register::Group;
use hv_core::guest::{Level, Width};

/// It finds out its own bit from the target registers of its private interrupts.
fn own_mask(machine: &mut Machine, vcpu: usize) -> u32 {
    let mask = (0..32).step_by(4).fold(0, |mask, offset| {
        mask | machine.read(vcpu, Frame::Distributor, 0x800 + offset, Width::B4) as u32
    });
    let mask = mask | mask >> 16;
    (mask | mask >> 8) & 0xff
}

fn boot(vcpus: usize) -> Machine {
    let mut machine = Machine::new(Version::V2, vcpus, 4);
    let typer = machine.read(0, Frame::Distributor, 0x4, Width::B4) as u32;
    let lines = ((typer & 0x1f) + 1) * 32;
    assert_eq!((lines, (typer >> 5) + 1), (128, vcpus as u32));
    machine.write(0, 0, 0);
    let mask = own_mask(&mut machine, 0) * 0x0101_0101;
    for first in (32..lines).step_by(4) {
        machine.write(0, 0x800 + u64::from(first), mask);
    }
    for first in (32..lines).step_by(16) {
        machine.write(0, 0xc00 + u64::from(first / 4), 0);
    }
    for first in (32..lines).step_by(4) {
        machine.write(0, 0x400 + u64::from(first), 0xa0a0_a0a0);
    }
    for bank in 1..lines / 32 {
        machine.write_bits(0, bank, 0x380, u32::MAX);
        machine.write_bits(0, bank, 0x180, u32::MAX);
    }
    machine.write(0, 0, 1);
    for vcpu in 0..vcpus {
        if vcpus > 1 {
            assert_eq!(own_mask(&mut machine, vcpu), 1 << vcpu);
        }
        machine.write_bits(vcpu, 0, 0x380, u32::MAX);
        machine.write_bits(vcpu, 0, 0x180, 0xffff_0000);
        machine.write_bits(vcpu, 0, 0x100, 0x0000_ffff);
        for offset in (0..32).step_by(4) {
            machine.write(vcpu, 0x400 + offset, 0xa0a0_a0a0);
        }
    }
    machine
}

#[test]
fn linux_boots_and_nothing_was_refused() {
    for vcpus in [1, 4, 8] {
        assert_eq!(boot(vcpus).vgic.info().refused, 0);
    }
}

#[test]
fn linux_handles_a_device_and_moves_it_to_another_cpu() {
    let mut machine = boot(4);
    let line = machine.vgic.line(33).unwrap();
    line.set(Level::High);
    machine.enable(0, 1, 1 << 1);
    machine.enter(0);
    assert_eq!(machine.group(0), [Group::Zero], "which its CPU interface signals as IRQ");
    assert_eq!(machine.acknowledge(0), Some(33));
    line.set(Level::Low);
    machine.end(0);
    machine.access(0, Frame::Distributor, 0x821, Width::B1, 1 << 2);
    line.set(Level::High);
    assert_eq!(machine.acknowledge(0), None);
    assert_eq!(machine.acknowledge(2), Some(33));
}

#[test]
fn linux_sends_its_ipis_and_knows_their_senders() {
    let mut machine = boot(8);
    for from in 0..8 {
        machine.send(from, 0xff & !(1 << from), 1);
    }
    for vcpu in 0..8 {
        let mut senders = Vec::new();
        while let Some((intid, sender)) = machine.acknowledge_from(vcpu) {
            assert_eq!(intid, 1);
            senders.push(usize::from(sender));
            machine.end(vcpu);
        }
        senders.sort_unstable();
        let expected: Vec<_> = (0..8).filter(|&from| from != vcpu).collect();
        assert_eq!(senders, expected);
    }
}
