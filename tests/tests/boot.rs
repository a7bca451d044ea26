//! From power-on to the prompt, and back.

use std::time::Duration;

use machine_tests::{Cpu, Gic, Machine};

/// Boots to the prompt, finds the machine as it was made, powers off with status 0.
fn boots(cpu: Cpu, gic: Gic, cpus: u32) {
    let mut roost = Machine::new().cpu(cpu).gic(gic).cpus(cpus).boot();
    let version = roost.succeed("version");
    let controller = match gic {
        Gic::V2 => "GICv2",
        Gic::V3 => "GICv3",
    };
    assert!(version.contains(controller), "{version}");
    let list = roost.list("cpu list");
    assert_eq!(list.len(), cpus as usize, "{list:?}");
    assert!(list.iter().all(|cpu| cpu["state"] == "online"), "{list:?}");
    roost.power_off();
}

#[test]
fn it_boots_on_one_plain_cpu_with_either_interrupt_controller() {
    boots(Cpu::CortexA57, Gic::V2, 1);
    boots(Cpu::CortexA57, Gic::V3, 1);
}

#[test]
fn it_boots_on_four_plain_cpus_with_either_interrupt_controller() {
    boots(Cpu::CortexA57, Gic::V2, 4);
    boots(Cpu::CortexA57, Gic::V3, 4);
}

#[test]
fn it_boots_on_one_cpu_that_has_everything() {
    boots(Cpu::Max, Gic::V2, 1);
    boots(Cpu::Max, Gic::V3, 1);
}

#[test]
fn it_boots_on_four_cpus_that_have_everything() {
    boots(Cpu::Max, Gic::V2, 4);
    boots(Cpu::Max, Gic::V3, 4);
}

#[test]
#[ignore = "slow: an emulator of 64 CPUs on a small machine"]
fn it_boots_on_64_cpus() {
    boots(Cpu::CortexA57, Gic::V3, 64);
}

#[test]
fn entered_below_el2_it_says_so_and_stops() {
    let mut roost = Machine::new().without_virtualization().switch_on();
    roost.serial().expect("EL2", Duration::from_secs(30));
    let transcript = roost.serial().transcript();
    assert!(!transcript.contains("roost> "), "{transcript}");
}

#[test]
fn entered_without_a_device_tree_it_says_so_and_stops() {
    let mut roost = Machine::new().without_device_tree().switch_on();
    roost.serial().expect("no device tree", Duration::from_secs(30));
    let transcript = roost.serial().transcript();
    assert!(!transcript.contains("roost> "), "{transcript}");
}

#[test]
fn reboot_restarts_the_machine() {
    let mut roost = Machine::new().boot();
    roost.succeed("vm create hello");
    roost.serial().send("reboot\r");
    roost.wait_for_prompt();
    // The echo of `reboot` ends with a prompt only when the machine is back.
    assert!(roost.succeed("vm list").lines().count() <= 1);
    roost.power_off();
}
