//! What Linux's driver for GICv3 does at boot and afterwards, as its registers see it.

use super::machine::Machine;
use crate::irqchip::vgic::{Frame, Version};
use hv_core::guest::{Level, Width};

fn wait_for_writes(machine: &mut Machine, vcpu: usize, frame: Frame, offset: u64) {
    let bit = if frame == Frame::Distributor { 1 << 31 } else { 1 << 3 };
    assert_eq!(machine.read(vcpu, frame, offset, Width::B4) & bit, 0, "RWP");
}

fn distributor(machine: &mut Machine) {
    let arch = machine.read(0, Frame::Distributor, 0xffe8, Width::B4) & 0xf0;
    assert_eq!(arch, 0x30);
    let typer = machine.read(0, Frame::Distributor, 0x4, Width::B4);
    let lines = ((typer & 0x1f) as u32 + 1) * 32;
    assert_eq!(lines, 128);
    machine.write(0, 0, 0);
    wait_for_writes(machine, 0, Frame::Distributor, 0);
    for bank in 1..lines / 32 {
        machine.write_bits(0, bank, 0x080, u32::MAX);
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
    wait_for_writes(machine, 0, Frame::Distributor, 0);
    machine.write(0, 0, 1 << 4 | 1 << 1 | 1);
    assert_eq!(machine.read(0, Frame::Distributor, 0, Width::B4), 0x53);
    for intid in 32..lines {
        machine.route(0, intid, 0);
    }
}

fn cpu(machine: &mut Machine, vcpu: usize, vcpus: usize) {
    // It looks for its own affinity, up to the one that says that it is the last.
    let found = (0..).find(|&index| {
        let typer = machine.read(vcpu, Frame::Redistributor(index), 0x8, Width::B8);
        assert_eq!(typer >> 4 & 1 == 1, index + 1 == vcpus);
        typer >> 32 == vcpu as u64
    });
    let frame = Frame::Redistributor(found.unwrap());
    let waker = machine.read(vcpu, frame, 0x14, Width::B4);
    machine.access(vcpu, frame, 0x14, Width::B4, waker & !2);
    assert_eq!(machine.read(vcpu, frame, 0x14, Width::B4) & 4, 0, "ChildrenAsleep");
    machine.access(vcpu, frame, 0x1_0080, Width::B4, 0xffff_ffff);
    for offset in (0..32).step_by(4) {
        machine.access(vcpu, frame, 0x1_0400 + offset, Width::B4, 0xa0a0_a0a0);
    }
    machine.access(vcpu, frame, 0x1_0380, Width::B4, 0xffff_ffff);
    machine.access(vcpu, frame, 0x1_0180, Width::B4, 0xffff_0000);
    machine.access(vcpu, frame, 0x1_0100, Width::B4, 0x0000_ffff);
    wait_for_writes(machine, vcpu, frame, 0);
}

fn boot(vcpus: usize) -> Machine {
    let mut machine = Machine::new(Version::V3, vcpus, 4);
    distributor(&mut machine);
    for vcpu in 0..vcpus {
        cpu(&mut machine, vcpu, vcpus);
    }
    machine
}

#[test]
fn linux_boots_and_nothing_was_refused() {
    for vcpus in [1, 4, 8] {
        let machine = boot(vcpus);
        let info = machine.vgic.info();
        assert_eq!(info.refused, 0);
        assert_eq!(info.shared.enabled, 0);
        assert!(info.cpus.iter().all(|cpu| cpu.private.enabled == 16));
    }
}

#[test]
fn linux_enables_a_device_handles_it_and_moves_it_to_another_cpu() {
    let mut machine = boot(4);
    let line = machine.vgic.line(33).unwrap();
    line.set(Level::High);
    assert_eq!(machine.acknowledge(0), None, "it is still masked");
    machine.enable(0, 1, 1 << 1);
    assert_eq!(machine.acknowledge(0), Some(33));
    line.set(Level::Low);
    machine.end(0);
    // Linux masks it while it changes the route, and waits.
    machine.disable(0, 1, 1 << 1);
    wait_for_writes(&mut machine, 0, Frame::Distributor, 0);
    machine.route(0, 33, 3);
    machine.enable(0, 1, 1 << 1);
    line.set(Level::High);
    assert!(machine.is_asked(3));
    assert_eq!(machine.acknowledge(3), Some(33));
}

#[test]
fn linux_sends_its_ipis() {
    let mut machine = boot(8);
    for round in 0..100_u32 {
        let from = (round % 8) as usize;
        let targets = 0xff & !(1 << from);
        machine.send(from, targets, round % 7);
        for vcpu in 0..8 {
            let expected: &[u32] = if vcpu == from { &[] } else { &[round % 7] };
            assert_eq!(machine.handle_all(vcpu, 2), expected);
        }
    }
}
