//! Commands at boot, and the verdict that they give.

use std::time::Duration;

use machine_tests::Machine;

const LIMIT: Duration = Duration::from_secs(60);

fn a_status_of_the_command_line_is_that_of_the_emulator(machine: Machine) {
    let mut roost = machine
        .commands(
            "vm create hello; vm start hello; vm wait hello --state stopped --timeout 50s; exit 42",
        )
        .switch_on();
    assert_eq!(roost.wait_for_exit(), 42);
    let transcript = roost.serial().transcript();
    assert!(transcript.contains("vm 1 'hello' created"), "{transcript}");
}

fn a_script_of_the_bundle_runs_at_boot(machine: Machine) {
    let privilege = machine.arch().privilege();
    let script = format!(
        "# A comment, and an empty line\n\n\
         vm create hello; vm start hello\n\
         vm expect hello \"greetings from {privilege}\"\n\
         vm wait hello --timeout 50s\n\
         exit 3\n"
    );
    let mut roost = machine.file("autostart", script).switch_on();
    assert_eq!(roost.wait_for_exit(), 3);
}

fn an_error_names_the_file_and_the_line_and_ends_the_script(machine: Machine) {
    let script = "version\nvm start nobody\nexit 9\n";
    let mut roost = machine.file("autostart", script).switch_on();
    roost.serial().expect("autostart:2: error: no VM 'nobody'", LIMIT);
    roost.wait_for_prompt();
    roost.succeed("version");
    roost.power_off();
}

fn an_error_can_be_made_the_verdict(machine: Machine) {
    let mut roost = machine.commands("on-error exit 5; vm start nobody; exit 0").switch_on();
    assert_eq!(roost.wait_for_exit(), 5);
}

fn waiting_for_what_does_not_come_ends_in_time(machine: Machine) {
    let mut roost = machine.probe("idle", "test=idle").boot();
    roost.start("idle");
    let error = roost.refuse("vm wait idle --state stopped --timeout 1s");
    assert!(error.contains("idle"), "{error}");
    // And nothing else stood still while it waited.
    roost.succeed("version");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        a_status_of_the_command_line_is_that_of_the_emulator(Machine::virt());
        a_script_of_the_bundle_runs_at_boot(Machine::virt());
        an_error_names_the_file_and_the_line_and_ends_the_script(Machine::virt());
        an_error_can_be_made_the_verdict(Machine::virt());
        waiting_for_what_does_not_come_ends_in_time(Machine::virt());
    }
    svm {
        a_status_of_the_command_line_is_that_of_the_emulator(Machine::svm());
        a_script_of_the_bundle_runs_at_boot(Machine::svm());
        an_error_names_the_file_and_the_line_and_ends_the_script(Machine::svm());
        an_error_can_be_made_the_verdict(Machine::svm());
        waiting_for_what_does_not_come_ends_in_time(Machine::svm());
    }
    vmx {
        a_status_of_the_command_line_is_that_of_the_emulator(Machine::vmx());
    }
}
