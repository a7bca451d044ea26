//! CPUs that others stop and start.

use super::machine::Machine;
use crate::board::Board;
use crate::personality::pc::cpu::PcCpu;
use crate::run::Stop;
use hv_core::arch::x86_64::register::SegmentName;
use hv_core::vcpu::GuestCpu;

const INIT: u64 = 0xc500;
const STARTUP: u64 = 0x600;
const SECOND: u64 = 1 << 32;

fn started(machine: &mut Machine) -> Option<u64> {
    machine.cores[1].as_ref().map(|core| core.cpu.pc())
}

#[test]
fn linux_starts_a_cpu_with_two_startups() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, SECOND | INIT).unwrap();
    machine.wrmsr(0, 0x830, SECOND | 0x8500).unwrap();
    assert_eq!(started(&mut machine), None);
    for _ in 0..2 {
        machine.wrmsr(0, 0x830, SECOND | STARTUP | 0x9f).unwrap();
        assert_eq!(started(&mut machine), Some(0x9_f000));
        machine.cpu(1).rip = 0;
    }
    assert_eq!(machine.cpu(1).segment(SegmentName::Cs).selector, 0x9f00);
    assert_eq!(machine.stops, []);
}

#[test]
fn a_running_cpu_is_reset_and_started_again() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, SECOND | STARTUP | 1).unwrap();
    machine.flatten(1);
    machine.x2apic(1);
    machine.wrmsr(1, 0x832, 0x31).unwrap();
    machine.wrmsr(0, 0x830, SECOND | INIT).unwrap();
    assert_eq!(machine.stops, [(1, Stop::Idle)], "it waits");
    machine.wrmsr(0, 0x830, SECOND | 0x77).unwrap();
    assert_eq!(machine.interrupt(1), None, "its local APIC is off");
    machine.wrmsr(0, 0x830, SECOND | STARTUP | 2).unwrap();
    assert_eq!(started(&mut machine), Some(0x2000));
    assert_eq!(machine.rdmsr(1, 0x832), Ok(1 << 16), "masked");
    assert!(machine.cpu(1).is_loaded);
}

#[test]
fn a_startup_behind_the_init_is_not_lost() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, SECOND | STARTUP | 1).unwrap();
    let vm = machine.vm.clone();
    // Both are sent before the other CPU looks.
    for command in [INIT, STARTUP | 3] {
        let exit = hv_core::arch::x86_64::exit::ArchExit::WriteMsr {
            index: 0x830,
            value: SECOND | command,
        };
        let _ = vm.board().handle(&exit, machine.core(0), &vm);
    }
    assert_eq!(started(&mut machine), Some(0x1000));
    machine.look();
    assert_eq!(started(&mut machine), Some(0x3000));
    assert_eq!(machine.stops, []);
}

#[test]
fn an_init_of_the_first_cpu_starts_the_machine_anew() {
    let mut machine = Machine::new(1);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, INIT).unwrap();
    assert_eq!(machine.stops, [(0, Stop::Reset)]);
}

#[test]
fn after_a_reset_the_others_are_off_again() {
    let mut machine = Machine::new(2);
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, SECOND | STARTUP | 1).unwrap();
    machine.start();
    assert!(machine.cores[1].is_none());
    assert_eq!(machine.rdmsr(0, 0x1b), Ok(0xfee0_0900), "no x2APIC");
    machine.x2apic(0);
    machine.wrmsr(0, 0x830, SECOND | STARTUP | 5).unwrap();
    assert_eq!(started(&mut machine), Some(0x5000));
}
