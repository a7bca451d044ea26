//! Linux guests.

use std::time::Duration;

use machine_tests::{Cpu, Gic, Guests, Machine, Roost};

const LIMIT: Duration = Duration::from_secs(180);
const PROMPT: &str = "linux:~# ";

fn machine() -> Machine {
    Machine::new().memory("2G").guests(Guests::All)
}

/// Creates a VM from a configuration of Linux, and starts it. A quiet kernel boots faster here.
fn start(roost: &mut Roost, config: &str, name: &str) {
    roost.succeed(&format!("vm create {config} --name {name} 'cmdline=console=ttyAMA0 quiet'"));
    roost.succeed(&format!("vm start {name}"));
}

/// Waits for the guest's prompt, and for the answer to a command typed there.
fn answers(roost: &mut Roost, name: &str) {
    roost.wait_for_text(name, PROMPT);
    roost.type_line(name, "echo $((6 * 7))");
    roost.wait_for_text(name, "42");
}

fn boots_to_its_prompt(cpu: Cpu, gic: Gic, cpus: u32) {
    let mut roost = machine().cpu(cpu).gic(gic).cpus(cpus).boot();
    start(&mut roost, "linux", "linux");
    answers(&mut roost, "linux");
    roost.power_off();
}

#[test]
fn linux_boots_to_its_prompt_on_one_plain_cpu_with_gicv2() {
    boots_to_its_prompt(Cpu::CortexA57, Gic::V2, 1);
}

#[test]
fn linux_boots_to_its_prompt_on_one_cpu_that_has_everything() {
    boots_to_its_prompt(Cpu::Max, Gic::V3, 1);
}

#[test]
fn linux_boots_to_its_prompt_on_four_cpus_that_have_everything_with_gicv2() {
    boots_to_its_prompt(Cpu::Max, Gic::V2, 4);
}

#[test]
fn linux_is_used_paused_rebooted_and_powered_off_from_its_console() {
    let mut roost = machine().cpus(4).boot();
    start(&mut roost, "linux", "linux");
    roost.serial().send("vm console linux\r");
    roost.serial().expect("Welcome to Linux", LIMIT);
    roost.serial().expect(PROMPT, LIMIT);
    roost.serial().send("echo $((6 * 7))\r");
    roost.serial().expect("\n42", LIMIT);
    roost.serial().expect(PROMPT, LIMIT);
    // In a shell of its own, which Ctrl-C always ends: the one at the prompt misses it between two commands of a loop.
    roost.serial().send("sh -c 'while true; do date; sleep 1; done'\r");
    roost.serial().expect("UTC", LIMIT);
    roost.serial().send("\x1c");
    roost.wait_for_prompt();

    roost.succeed("vm pause linux");
    let (log, time) = (roost.log("linux"), roost.cpu_time_ns("linux"));
    roost.serial().listen(Duration::from_secs(3));
    assert_eq!(roost.log("linux"), log, "a paused guest printed");
    assert_eq!(roost.cpu_time_ns("linux"), time);
    roost.succeed("vm resume linux");
    roost.succeed("vm send linux '\\x03'");
    roost.type_line("linux", "echo resumed $((6 * 7))");
    roost.wait_for_text("linux", "resumed 42");

    roost.type_line("linux", "reboot");
    roost.wait_for_text("linux", "Welcome to Linux");
    answers(&mut roost, "linux");
    roost.type_line("linux", "poweroff");
    roost.wait_for_state("linux", "stopped");
    roost.succeed("vm destroy linux");
    roost.power_off();
}

#[test]
fn a_power_key_stops_linux() {
    for gic in [Gic::V2, Gic::V3] {
        let mut roost = machine().gic(gic).boot();
        start(&mut roost, "linux", "linux");
        roost.wait_for_text("linux", PROMPT);
        roost.succeed("vm stop linux");
        assert_eq!(roost.state("linux"), "stopped");
        roost.power_off();
    }
}

/// Two guests at once, both making progress.
fn two_at_once(gic: Gic, cpus: u32) {
    let mut roost = machine().gic(gic).cpus(cpus).boot();
    for name in ["one", "two"] {
        start(&mut roost, "linux", name);
    }
    for name in ["one", "two"] {
        answers(&mut roost, name);
        roost.type_line(
            name,
            "i=0; while true; do i=$((i + 1)); [ $((i % 5000)) = 0 ] && echo count $i; done",
        );
    }
    for _ in 0..3 {
        for name in ["one", "two"] {
            roost.wait_for_text(name, "000\\r");
        }
    }
    roost.power_off();
}

#[test]
fn two_linux_guests_make_progress_on_one_cpu() {
    two_at_once(Gic::V3, 1);
}

#[test]
fn two_linux_guests_make_progress_on_four_cpus() {
    two_at_once(Gic::V2, 4);
}

fn sees_four_cpus(gic: Gic, cpus: u32) {
    let mut roost = machine().gic(gic).cpus(cpus).boot();
    start(&mut roost, "linux-smp", "smp");
    roost.wait_for_text("smp", "4 CPUs");
    roost.wait_for_text("smp", PROMPT);
    roost.type_line("smp", "grep -c ^processor /proc/cpuinfo");
    roost.wait_for_text("smp", "\\n4");
    roost.power_off();
}

#[test]
fn linux_sees_four_cpus_on_four() {
    sees_four_cpus(Gic::V3, 4);
}

#[test]
fn linux_sees_four_cpus_on_one() {
    sees_four_cpus(Gic::V2, 1);
}
