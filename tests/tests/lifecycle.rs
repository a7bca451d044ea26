//! VMs come, change and go, and leave nothing behind.

use std::time::Duration;

use machine_tests::{Gic, Machine};

/// Many rounds, so that what one leaves behind adds up.
fn create_start_destroy_leave_the_memory_as_it_was(machine: Machine, rounds: u32) {
    let mut roost = machine.probe_smp("two", 2, "test=smp").boot();
    let before = roost.memory();
    for _ in 0..rounds {
        roost.start("two");
        roost.wait_for_text("two", "probe: ok smp");
        roost.destroy("two");
    }
    assert_eq!(roost.memory(), before);
    roost.power_off();
}

fn a_vm_goes_through_its_states(machine: Machine) {
    let mut roost = machine.probe("ticks", "test=pause lines=100000").boot();
    let created = roost.succeed("vm create ticks");
    assert_eq!(created.trim(), "vm 1 'ticks' created: 1 vCPU, 32 MiB");
    assert_eq!(roost.state("ticks"), "created");
    roost.succeed("vm start ticks");
    assert_eq!(roost.state("ticks"), "running");
    let error = roost.refuse("vm start ticks");
    assert!(error.contains("running"), "{error}");
    let error = roost.refuse("vm destroy ticks");
    assert!(error.contains("--force"), "{error}");
    roost.wait_for_text("ticks", "probe: tick 3 ");
    roost.succeed("vm reset ticks");
    roost.wait_for_text("ticks", "probe: tick 3 ");
    roost.succeed("vm stop ticks --force");
    assert_eq!(roost.state("ticks"), "stopped");
    roost.succeed("vm reset ticks");
    roost.succeed("vm destroy ticks --force");
    assert!(roost.list("vm list").is_empty());
    roost.power_off();
}

fn a_paused_vm_neither_prints_nor_runs_and_its_time_stands_still(machine: Machine) {
    let mut roost = machine.probe("ticks", "test=pause lines=30").boot();
    roost.start("ticks");
    roost.wait_for_text("ticks", "probe: tick 5 ");
    roost.succeed("vm pause ticks");
    assert_eq!(roost.state("ticks"), "paused");
    let (log, time) = (roost.log("ticks"), roost.cpu_time_ns("ticks"));
    assert!(time > 0);
    roost.serial().listen(Duration::from_secs(4));
    assert_eq!(roost.log("ticks"), log);
    assert_eq!(roost.cpu_time_ns("ticks"), time);
    roost.succeed("vm resume ticks");
    roost.wait_for_text("ticks", "probe: ok pause");
    // 30 ticks of 100 ms; had time jumped, one would have been 4 s long.
    let log = roost.log("ticks");
    let longest = log.rsplit_once("longest=").and_then(|(_, rest)| rest.lines().next());
    let longest: u64 = longest.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    assert!(longest < 3000, "the guest saw {longest} ms go by: {log}");
    roost.power_off();
}

fn ram_is_zero_after_a_reset_and_for_the_next_vm(machine: Machine) {
    let mut roost = machine.probe("fill", "test=ram then=reset").probe("look", "test=ram").boot();
    roost.start("fill");
    // Each time it fills its memory, and resets itself.
    for _ in 0..3 {
        roost.wait_for_text("fill", "probe: ok ram");
    }
    roost.destroy("fill");
    for _ in 0..3 {
        roost.start("look");
        roost.wait_for_text("look", "probe: ok ram");
        roost.wait_for_state("look", "stopped");
        roost.destroy("look");
    }
    roost.power_off();
}

fn an_idle_vm_costs_nothing_and_a_busy_one_shares_by_weight(machine: Machine) {
    let mut roost = machine
        .cpus(1)
        .probe("idle", "test=idle")
        .probe("light", "test=spin")
        .probe("heavy", "test=spin")
        .boot();
    let names = ["idle", "light", "heavy"];
    for name in names {
        roost.start(name);
    }
    roost.succeed("vm set light weight=100");
    roost.succeed("vm set heavy weight=300");
    let mut times = || names.map(|name| roost.cpu_time_ns(name));
    let before = times();
    std::thread::sleep(Duration::from_secs(6));
    let after = times();
    let [idle, light, heavy] = [0, 1, 2].map(|index| after[index] - before[index]);
    assert!(idle < light / 20, "idle {idle}, light {light}, heavy {heavy}");
    assert!(heavy > 2 * light && heavy < 4 * light, "idle {idle}, light {light}, heavy {heavy}");
    roost.power_off();
}

fn a_vm_asked_to_stop_that_does_not_know_how_is_stopped_by_force(machine: Machine) {
    let mut roost = machine.probe("spin", "test=spin").boot();
    roost.start("spin");
    roost.wait_for_text("spin", "spinning");
    roost.refuse("vm stop spin --timeout 1s");
    assert_eq!(roost.state("spin"), "running");
    roost.succeed("vm stop spin --force");
    assert_eq!(roost.state("spin"), "stopped");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        create_start_destroy_leave_the_memory_as_it_was(Machine::virt(), 20);
        a_vm_goes_through_its_states(Machine::virt());
        a_paused_vm_neither_prints_nor_runs_and_its_time_stands_still(Machine::virt());
        ram_is_zero_after_a_reset_and_for_the_next_vm(Machine::virt());
        an_idle_vm_costs_nothing_and_a_busy_one_shares_by_weight(Machine::virt());
        a_vm_asked_to_stop_that_does_not_know_how_is_stopped_by_force(Machine::virt().gic(Gic::V2));
    }
    svm {
        create_start_destroy_leave_the_memory_as_it_was(Machine::svm(), 20);
        a_vm_goes_through_its_states(Machine::svm());
        a_paused_vm_neither_prints_nor_runs_and_its_time_stands_still(Machine::svm());
        ram_is_zero_after_a_reset_and_for_the_next_vm(Machine::svm());
        an_idle_vm_costs_nothing_and_a_busy_one_shares_by_weight(Machine::svm());
        a_vm_asked_to_stop_that_does_not_know_how_is_stopped_by_force(Machine::svm());
    }
    vmx {
        create_start_destroy_leave_the_memory_as_it_was(Machine::vmx(), 4);
        a_vm_goes_through_its_states(Machine::vmx());
        a_paused_vm_neither_prints_nor_runs_and_its_time_stands_still(Machine::vmx());
        ram_is_zero_after_a_reset_and_for_the_next_vm(Machine::vmx());
    }
}
