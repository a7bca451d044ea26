//! Linux guests.

use std::time::Duration;

use machine_tests::{Cpu, Gic, Guests, Machine, Roost};

const LIMIT: Duration = Duration::from_secs(180);
const PROMPT: &str = "linux:~# ";

/// With room for several guests.
fn large(machine: Machine) -> Machine {
    machine.memory_mib(2048)
}

/// Creates a VM from a configuration of Linux, and starts it. A quiet kernel boots faster here.
fn start(roost: &mut Roost, config: &str, name: &str) {
    let console = roost.arch().linux_console();
    roost.succeed(&format!("vm create {config} --name {name} 'cmdline=console={console} quiet'"));
    roost.succeed(&format!("vm start {name}"));
}

/// Waits for the guest's prompt, and for the answer to a command typed there.
fn answers(roost: &mut Roost, name: &str) {
    roost.wait_for_text(name, PROMPT);
    roost.type_line(name, "echo $((6 * 7))");
    roost.wait_for_text(name, "42");
}

fn linux_boots_to_its_prompt(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
    start(&mut roost, "linux", "linux");
    answers(&mut roost, "linux");
    roost.power_off();
}

fn linux_is_used_paused_rebooted_and_powered_off_from_its_console(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
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

fn a_power_key_stops_linux(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
    start(&mut roost, "linux", "linux");
    roost.wait_for_text("linux", PROMPT);
    roost.succeed("vm stop linux");
    assert_eq!(roost.state("linux"), "stopped");
    roost.power_off();
}

/// Two guests at once, both making progress.
fn two_linux_guests_make_progress(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
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

fn linux_sees_four_cpus(machine: Machine) {
    let mut roost = machine.guests(Guests::All).boot();
    start(&mut roost, "linux-smp", "smp");
    roost.wait_for_text("smp", "4 CPUs");
    roost.wait_for_text("smp", PROMPT);
    roost.type_line("smp", "grep -c ^processor /proc/cpuinfo");
    roost.wait_for_text("smp", "\\n4");
    roost.power_off();
}

/// All that is asked of Linux where booting it takes minutes: it answers, another guest runs beside it, it is paused, and
/// stops when asked.
fn linux_answers_beside_another_guest_is_paused_and_stopped(machine: Machine) {
    let mut roost = machine.guests(Guests::All).probe("ticks", "test=pause lines=1000000").boot();
    roost.start("ticks");
    start(&mut roost, "linux", "linux");
    answers(&mut roost, "linux");
    roost.wait_for_ticks("ticks");
    roost.succeed("vm pause linux");
    let time = roost.cpu_time_ns("linux");
    roost.wait_for_ticks("ticks");
    assert_eq!(roost.cpu_time_ns("linux"), time);
    roost.succeed("vm resume linux");
    roost.type_line("linux", "echo resumed $((6 * 7))");
    roost.wait_for_text("linux", "resumed 42");
    roost.succeed("vm stop linux");
    assert_eq!(roost.state("linux"), "stopped");
    roost.wait_for_ticks("ticks");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        linux_boots_to_its_prompt_on_one_plain_cpu_with_gicv2 =
            linux_boots_to_its_prompt(large(Machine::virt()).gic(Gic::V2).cpus(1));
        linux_boots_to_its_prompt_on_one_cpu_that_has_everything =
            linux_boots_to_its_prompt(large(Machine::virt()).cpu(Cpu::Max).cpus(1));
        linux_boots_to_its_prompt_on_four_cpus_that_have_everything_with_gicv2 =
            linux_boots_to_its_prompt(large(Machine::virt()).cpu(Cpu::Max).gic(Gic::V2).cpus(4));
        linux_is_used_paused_rebooted_and_powered_off_from_its_console(large(Machine::virt()).cpus(4));
        a_power_key_stops_linux(large(Machine::virt()));
        a_power_key_stops_linux_with_gicv2 =
            a_power_key_stops_linux(large(Machine::virt()).gic(Gic::V2));
        two_linux_guests_make_progress_on_one_cpu =
            two_linux_guests_make_progress(large(Machine::virt()).cpus(1));
        two_linux_guests_make_progress_on_four_cpus =
            two_linux_guests_make_progress(large(Machine::virt()).gic(Gic::V2).cpus(4));
        linux_sees_four_cpus_on_four = linux_sees_four_cpus(large(Machine::virt()).cpus(4));
        linux_sees_four_cpus_on_one =
            linux_sees_four_cpus(large(Machine::virt()).gic(Gic::V2).cpus(1));
    }
    svm {
        linux_boots_to_its_prompt_on_one_cpu = linux_boots_to_its_prompt(large(Machine::svm()).cpus(1));
        linux_boots_to_its_prompt_on_four_plain_cpus =
            linux_boots_to_its_prompt(large(Machine::svm()).cpu(Cpu::Plain).cpus(4));
        linux_is_used_paused_rebooted_and_powered_off_from_its_console(large(Machine::svm()).cpus(4));
        a_power_key_stops_linux(large(Machine::svm()));
        two_linux_guests_make_progress_on_one_cpu =
            two_linux_guests_make_progress(large(Machine::svm()).cpus(1));
        two_linux_guests_make_progress_on_four_cpus =
            two_linux_guests_make_progress(large(Machine::svm()).cpus(4));
        linux_sees_four_cpus_on_four = linux_sees_four_cpus(large(Machine::svm()).cpus(4));
        linux_sees_four_cpus_on_one = linux_sees_four_cpus(large(Machine::svm()).cpus(1));
    }
    vmx {
        linux_answers_beside_another_guest_is_paused_and_stopped(Machine::vmx());
    }
}
