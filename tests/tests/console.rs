//! The consoles of VMs: attach, replay, type, leave.

use std::time::Duration;

use machine_tests::{Gic, Machine};

const LIMIT: Duration = Duration::from_secs(60);
/// Ctrl-\, which leaves a console.
const ESCAPE: &str = "\x1c";

fn attaching_replays_once_then_is_live_and_a_key_leaves(machine: Machine) {
    let mut roost = machine.probe("echo", "test=echo").boot();
    roost.start("echo");
    roost.wait_for_text("echo", "probe: info echo ready");
    for round in 0..2 {
        roost.serial().send("vm console echo\r");
        roost.serial().expect("attached to vm 1 'echo'", LIMIT);
        let replay = roost.serial().expect("probe: info echo ready", LIMIT);
        assert_eq!(replay.matches("probe: start").count(), 1, "{replay}");
        roost.serial().send(&format!("round {round}\r"));
        roost.serial().expect(&format!("probe: echo 'round {round}'"), LIMIT);
        roost.serial().send(ESCAPE);
        roost.serial().expect("detached from vm 1 'echo'", LIMIT);
        roost.wait_for_prompt();
    }
    let log = roost.log("echo");
    for round in 0..2 {
        assert_eq!(log.matches(&format!("probe: echo 'round {round}'")).count(), 1, "{log}");
    }
    roost.power_off();
}

fn ctrl_c_goes_to_the_guest_and_another_escape_key_can_be_chosen(machine: Machine) {
    let mut roost = machine.probe("echo", "test=echo").boot();
    roost.start("echo");
    roost.wait_for_text("echo", "probe: info echo ready");
    roost.serial().send("vm console echo --escape ^]\r");
    roost.serial().expect("Ctrl-] leaves", LIMIT);
    roost.serial().send("a\x03b\x1cc\r");
    roost.serial().expect("probe: echo 'a\x03b\x1cc'", LIMIT);
    roost.serial().send("\x1d");
    roost.serial().expect("detached", LIMIT);
    roost.wait_for_prompt();
    roost.power_off();
}

fn when_the_guest_stops_the_session_is_told_and_back_in_the_shell(machine: Machine) {
    let mut roost = machine.probe("echo", "test=echo").probe("jump", "test=jump-crash").boot();
    roost.start("echo");
    roost.serial().send("vm console echo\r");
    roost.serial().expect("probe: info echo ready", LIMIT);
    roost.serial().send("quit\r");
    roost.serial().expect("vm 1 'echo' stopped", LIMIT);
    roost.wait_for_prompt();

    roost.succeed("vm create jump");
    roost.serial().send("vm start jump; vm console jump\r");
    roost.serial().expect("vm 2 'jump' crashed", LIMIT);
    roost.wait_for_prompt();
    roost.power_off();
}

fn what_several_guests_print_is_kept_apart_and_out_of_the_shell(machine: Machine) {
    let mut roost =
        machine.probe("one", "test=pause lines=30").probe("two", "test=flood lines=300").boot();
    roost.start("one");
    roost.start("two");
    roost.wait_for_state("one", "stopped");
    roost.wait_for_state("two", "stopped");
    let (one, two) = (roost.log("one"), roost.log("two"));
    assert!(one.contains("probe: tick 30 ") && !one.contains("flood "), "{one}");
    assert!(two.contains("probe: flood 00000299") && !two.contains("tick"), "{two}");
    let shown = roost.succeed("vm log two --lines 3");
    assert_eq!(shown.trim_end().lines().count(), 3, "{shown}");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        attaching_replays_once_then_is_live_and_a_key_leaves(Machine::virt());
        ctrl_c_goes_to_the_guest_and_another_escape_key_can_be_chosen(Machine::virt().gic(Gic::V2));
        when_the_guest_stops_the_session_is_told_and_back_in_the_shell(Machine::virt());
        what_several_guests_print_is_kept_apart_and_out_of_the_shell(Machine::virt());
    }
    svm {
        attaching_replays_once_then_is_live_and_a_key_leaves(Machine::svm());
        ctrl_c_goes_to_the_guest_and_another_escape_key_can_be_chosen(Machine::svm());
        when_the_guest_stops_the_session_is_told_and_back_in_the_shell(Machine::svm());
        what_several_guests_print_is_kept_apart_and_out_of_the_shell(Machine::svm());
    }
    vmx {
        attaching_replays_once_then_is_live_and_a_key_leaves(Machine::vmx());
    }
}
