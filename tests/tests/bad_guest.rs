//! Guests that do what no guest should: only they crash, it is told why, and the others run on.

use machine_tests::{Gic, Machine, Roost};

/// What may become of a guest.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It crashes: there is nothing else that it could do.
    Crashes,
    /// It crashes, or it is told and goes on to the end of its test.
    CrashesOrGoesOn,
    /// It goes on to the end of its test.
    GoesOn,
}

const GUESTS: [(&str, Fate); 17] = [
    ("jump", Fate::CrashesOrGoesOn),
    ("jump-crash", Fate::Crashes),
    ("wild-write", Fate::CrashesOrGoesOn),
    ("wild-write-crash", Fate::CrashesOrGoesOn),
    ("exec-mmio", Fate::CrashesOrGoesOn),
    ("exec-mmio-crash", Fate::CrashesOrGoesOn),
    ("walk", Fate::CrashesOrGoesOn),
    ("walk-crash", Fate::Crashes),
    ("ldp-mmio", Fate::CrashesOrGoesOn),
    ("unaligned-mmio", Fate::CrashesOrGoesOn),
    ("psci", Fate::GoesOn),
    ("psci-entry", Fate::CrashesOrGoesOn),
    ("smc", Fate::GoesOn),
    ("sysregs", Fate::GoesOn),
    ("sysregs-write", Fate::GoesOn),
    ("sysregs-instructions", Fate::GoesOn),
    ("gic", Fate::GoesOn),
];

#[test]
fn a_guest_can_kill_only_itself_with_gicv3() {
    bad_guests(Gic::V3);
}

#[test]
fn a_guest_can_kill_only_itself_with_gicv2() {
    bad_guests(Gic::V2);
}

fn bad_guests(gic: Gic) {
    let mut machine = Machine::new().gic(gic).probe("bystander", "test=pause lines=1000000");
    for (name, _) in GUESTS {
        machine = machine.probe_smp(name, 2, &format!("test={name}"));
    }
    let mut roost = machine.boot();
    roost.start("bystander");
    let before = roost.memory();
    for (name, fate) in GUESTS {
        roost.start(name);
        roost.wait_for_state(name, "stopped,crashed");
        check_fate(&mut roost, name, fate);
        roost.destroy(name);
        // The other guest runs on.
        roost.wait_for_ticks("bystander");
        assert_eq!(roost.state("bystander"), "running");
    }
    assert_eq!(roost.memory(), before);
    roost.power_off();
}

fn check_fate(roost: &mut Roost, name: &str, fate: Fate) {
    let (log, state) = (roost.log(name), roost.state(name));
    let why = roost.run(&format!("vm why {name}"));
    let has_ended = log.contains(&format!("probe: ok {name}"));
    let is_fine = match (fate, state.as_str()) {
        (Fate::Crashes | Fate::CrashesOrGoesOn, "crashed") => {
            why.contains("crashed") && why.contains("pc ") && why.contains("registers")
        }
        (Fate::CrashesOrGoesOn | Fate::GoesOn, "stopped") => has_ended,
        _ => false,
    };
    assert!(is_fine, "{name}: {fate:?}, but it is {state}\n{log}\n{why}");
}

#[test]
fn a_flood_of_output_and_a_spinning_guest_leave_the_shell_usable() {
    let mut roost = Machine::new()
        .cpus(1)
        .probe("flood", "test=flood seconds=100000")
        .probe("spin", "test=spin")
        .probe("bystander", "test=pause lines=1000000")
        .boot();
    for name in ["flood", "spin", "bystander"] {
        roost.start(name);
    }
    roost.wait_for_text("flood", "probe: flood 00001000");
    for _ in 0..5 {
        roost.succeed("version");
        roost.wait_for_ticks("bystander");
        // Nothing of it is in the shell unasked.
        assert!(!roost.succeed("vm list").contains("quick brown fox"));
    }
    let flood = roost.vm("flood");
    assert_eq!(flood["state"], "running", "{flood}");
    for name in ["flood", "spin"] {
        roost.succeed(&format!("vm pause {name}"));
        roost.succeed(&format!("vm resume {name}"));
        roost.destroy(name);
    }
    roost.power_off();
}
