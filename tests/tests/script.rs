//! Commands at boot, and the verdict that they give.

use std::time::Duration;

use machine_tests::Machine;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_status_of_the_command_line_is_that_of_the_emulator() {
    let mut roost = Machine::new()
        .commands(
            "vm create hello; vm start hello; vm wait hello --state stopped --timeout 50s; exit 42",
        )
        .switch_on();
    assert_eq!(roost.wait_for_exit(), 42);
    let transcript = roost.serial().transcript();
    assert!(transcript.contains("vm 1 'hello' created"), "{transcript}");
}

#[test]
fn a_script_of_the_bundle_runs_at_boot() {
    let script = "# A comment, and an empty line\n\n\
                  vm create hello; vm start hello\n\
                  vm expect hello \"greetings from EL1\"\n\
                  vm wait hello --timeout 50s\n\
                  exit 3\n";
    let mut roost = Machine::new().file("autostart", script).switch_on();
    assert_eq!(roost.wait_for_exit(), 3);
}

#[test]
fn an_error_names_the_file_and_the_line_and_ends_the_script() {
    let script = "version\nvm start nobody\nexit 9\n";
    let mut roost = Machine::new().file("autostart", script).switch_on();
    roost.serial().expect("autostart:2: error: no VM 'nobody'", LIMIT);
    roost.wait_for_prompt();
    roost.succeed("version");
    roost.power_off();
}

#[test]
fn an_error_can_be_made_the_verdict() {
    let mut roost = Machine::new().commands("on-error exit 5; vm start nobody; exit 0").switch_on();
    assert_eq!(roost.wait_for_exit(), 5);
}

#[test]
fn waiting_for_what_does_not_come_ends_in_time() {
    let mut roost = Machine::new().probe("idle", "test=idle").boot();
    roost.start("idle");
    let error = roost.refuse("vm wait idle --state stopped --timeout 1s");
    assert!(error.contains("idle"), "{error}");
    // And nothing else stood still while it waited.
    roost.succeed("version");
    roost.power_off();
}
