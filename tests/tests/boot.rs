//! From power-on to the prompt, and back.

use std::time::Duration;

use machine_tests::{Cpu, Firmware, Gic, Machine};

/// Boots to the prompt, finds the machine as it was made, powers off with status 0.
fn it_boots(machine: Machine, controller: &str, cpus: usize) {
    let mut roost = machine.boot();
    let version = roost.succeed("version");
    assert!(version.contains(controller), "{version}");
    let list = roost.list("cpu list");
    assert_eq!(list.len(), cpus, "{list:?}");
    assert!(list.iter().all(|cpu| cpu["state"] == "online"), "{list:?}");
    roost.power_off();
}

/// On AArch64, with this processor and so many of them, with either interrupt controller.
fn it_boots_with_gicv2_and_gicv3(cpu: Cpu, cpus: u32) {
    for (gic, controller) in [(Gic::V2, "GICv2"), (Gic::V3, "GICv3")] {
        it_boots(Machine::virt().cpu(cpu).gic(gic).cpus(cpus), controller, cpus as usize);
    }
}

fn entered_below_el2_it_says_so_and_stops(machine: Machine) {
    let mut roost = machine.without_virtualization().switch_on();
    roost.serial().expect("EL2", Duration::from_secs(30));
    let transcript = roost.serial().transcript();
    assert!(!transcript.contains("roost> "), "{transcript}");
}

fn entered_without_a_device_tree_it_says_so_and_stops(machine: Machine) {
    let mut roost = machine.without_device_tree().switch_on();
    roost.serial().expect("no device tree", Duration::from_secs(30));
    let transcript = roost.serial().transcript();
    assert!(!transcript.contains("roost> "), "{transcript}");
}

/// The shell is there all the same, to say what is missing.
fn without_virtualization_the_shell_says_what_is_missing(machine: Machine) {
    let mut roost = machine.without_virtualization().boot();
    let error = roost.refuse("vm create hello");
    assert!(error.contains("SVM"), "{error}");
    roost.power_off();
}

fn reboot_restarts_the_machine(machine: Machine) {
    let mut roost = machine.boot();
    roost.succeed("vm create hello");
    roost.serial().send("reboot\r");
    roost.wait_for_prompt();
    // The echo of `reboot` ends with a prompt only when the machine is back.
    assert!(roost.succeed("vm list").lines().count() <= 1);
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        it_boots_on_one_plain_cpu = it_boots_with_gicv2_and_gicv3(Cpu::Plain, 1);
        it_boots_on_four_plain_cpus = it_boots_with_gicv2_and_gicv3(Cpu::Plain, 4);
        it_boots_on_one_cpu_that_has_everything = it_boots_with_gicv2_and_gicv3(Cpu::Max, 1);
        it_boots_on_four_cpus_that_have_everything = it_boots_with_gicv2_and_gicv3(Cpu::Max, 4);
        #[ignore = "slow: an emulator of 64 CPUs on a small machine"]
        it_boots_on_64_cpus = it_boots(Machine::virt().cpus(64), "GICv3", 64);
        entered_below_el2_it_says_so_and_stops(Machine::virt());
        entered_without_a_device_tree_it_says_so_and_stops(Machine::virt());
        reboot_restarts_the_machine(Machine::virt());
    }
    svm {
        it_boots_on_one_cpu = it_boots(Machine::svm().cpus(1), "xAPIC", 1);
        it_boots_on_four_cpus = it_boots(Machine::svm().cpus(4), "xAPIC", 4);
        it_boots_on_four_plain_cpus = it_boots(Machine::svm().cpu(Cpu::Plain).cpus(4), "xAPIC", 4);
        #[ignore = "slow: an emulator of 64 CPUs on a small machine"]
        it_boots_on_64_cpus = it_boots(Machine::svm().cpus(64), "xAPIC", 64);
        it_boots_from_an_image_by_bios = it_boots(Machine::svm().from_image(Firmware::Bios), "xAPIC", 2);
        it_boots_from_an_image_by_uefi = it_boots(Machine::svm().from_image(Firmware::Uefi), "xAPIC", 2);
        without_virtualization_the_shell_says_what_is_missing(Machine::svm());
        reboot_restarts_the_machine(Machine::svm());
    }
    vmx {
        it_boots_on_one_cpu = it_boots(Machine::vmx(), "x2APIC", 1);
        it_boots_on_two_cpus = it_boots(Machine::vmx().cpus(2), "x2APIC", 2);
        reboot_restarts_the_machine(Machine::vmx());
    }
}
