//! Guests that do what no guest should: only they crash, it is told why, and the others run on.

use machine_tests::{Arch, Gic, Machine, Roost};

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

/// A test of the probe, what else is on its command line, and what may become of it.
type Guest = (&'static str, &'static str, Fate);

const AARCH64: &[Guest] = &[
    ("jump", "", Fate::CrashesOrGoesOn),
    ("jump-crash", "", Fate::Crashes),
    ("wild-write", "", Fate::CrashesOrGoesOn),
    ("wild-write-crash", "", Fate::CrashesOrGoesOn),
    ("exec-mmio", "", Fate::CrashesOrGoesOn),
    ("exec-mmio-crash", "", Fate::CrashesOrGoesOn),
    ("walk", "", Fate::CrashesOrGoesOn),
    ("walk-crash", "", Fate::Crashes),
    ("ldp-mmio", "", Fate::CrashesOrGoesOn),
    ("unaligned-mmio", "", Fate::CrashesOrGoesOn),
    ("psci", "", Fate::GoesOn),
    ("psci-entry", "", Fate::CrashesOrGoesOn),
    ("smc", "", Fate::GoesOn),
    ("sysregs", "", Fate::GoesOn),
    ("sysregs-write", "", Fate::GoesOn),
    ("sysregs-instructions", "", Fate::GoesOn),
    ("gic", "", Fate::GoesOn),
];

const PC: &[Guest] = &[
    ("jump", "", Fate::CrashesOrGoesOn),
    ("jump-crash", "", Fate::Crashes),
    ("triple-fault-crash", "", Fate::Crashes),
    ("wild-write", "", Fate::CrashesOrGoesOn),
    ("wild-write-crash", "", Fate::CrashesOrGoesOn),
    ("exec-mmio", "", Fate::CrashesOrGoesOn),
    ("exec-mmio-crash", "", Fate::CrashesOrGoesOn),
    ("walk", "", Fate::CrashesOrGoesOn),
    ("walk-crash", "", Fate::Crashes),
    ("walk-loop", "", Fate::CrashesOrGoesOn),
    ("walk-race", "seconds=1", Fate::CrashesOrGoesOn),
    ("self-modifying", "seconds=1", Fate::CrashesOrGoesOn),
    ("mmio-edge", "", Fate::CrashesOrGoesOn),
    ("mmio-vector-crash", "", Fate::CrashesOrGoesOn),
    ("ports", "step=16", Fate::GoesOn),
    ("ports-write", "step=16", Fate::GoesOn),
    ("ports-string", "", Fate::CrashesOrGoesOn),
    ("msrs", "", Fate::GoesOn),
    ("msrs-write", "", Fate::GoesOn),
    ("msrs-flood", "seconds=1", Fate::GoesOn),
    ("control", "", Fate::GoesOn),
    ("nested", "", Fate::GoesOn),
    ("hypercall", "", Fate::GoesOn),
    ("apic", "", Fate::GoesOn),
    ("apic", "apic=x", Fate::GoesOn),
];

fn a_guest_can_kill_only_itself(machine: Machine) {
    let guests = match machine.arch() {
        Arch::Aarch64 => AARCH64,
        Arch::X86_64 => PC,
    };
    let mut roost =
        machine.probe("bystander", "test=pause lines=1000000").probe_smp("bad", 2, "").boot();
    roost.start("bystander");
    let before = roost.memory();
    for (name, more, fate) in guests {
        roost.succeed(&format!("vm create bad 'cmdline=test={name} {more}'"));
        roost.succeed("vm start bad");
        roost.wait_for_state("bad", "stopped,crashed");
        check_fate(&mut roost, name, *fate);
        roost.destroy("bad");
        // The other guest runs on.
        roost.wait_for_ticks("bystander");
        assert_eq!(roost.state("bystander"), "running");
    }
    assert_eq!(roost.memory(), before);
    roost.power_off();
}

fn check_fate(roost: &mut Roost, name: &str, fate: Fate) {
    let (log, state) = (roost.log("bad"), roost.state("bad"));
    let why = roost.run("vm why bad");
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

fn a_guest_that_halts_with_interrupts_off_costs_nothing_and_can_be_destroyed(machine: Machine) {
    let mut roost = machine.probe("halted", "test=hlt-off").boot();
    roost.start("halted");
    roost.wait_for_text("halted", "halting with interrupts off");
    let time = roost.cpu_time_ns("halted");
    roost.succeed("vm create hello");
    roost.succeed("vm start hello");
    roost.wait_for_state("hello", "stopped");
    // It may have had a few instructions left to do.
    let spent = roost.cpu_time_ns("halted") - time;
    assert!(spent < 100_000_000, "{spent}");
    roost.destroy("halted");
    roost.power_off();
}

fn a_flood_of_output_and_a_spinning_guest_leave_the_shell_usable(machine: Machine) {
    let mut roost = machine
        .cpus(1)
        .probe("flood", "test=flood seconds=100000")
        .probe("spin", "test=spin")
        .probe("bystander", "test=pause lines=1000000")
        .boot();
    for name in ["flood", "spin", "bystander"] {
        roost.start(name);
    }
    // The next thousand lines: the first ones may be gone already.
    roost.wait_for_text("flood", "000 the quick");
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

machine_tests::tests! {
    aarch64 {
        a_guest_can_kill_only_itself(Machine::virt());
        a_guest_of_gicv2_can_kill_only_itself =
            a_guest_can_kill_only_itself(Machine::virt().gic(Gic::V2));
        a_flood_of_output_and_a_spinning_guest_leave_the_shell_usable(Machine::virt());
    }
    svm {
        a_guest_can_kill_only_itself_on_one_cpu = a_guest_can_kill_only_itself(Machine::svm().cpus(1));
        a_guest_can_kill_only_itself_on_four_cpus =
            a_guest_can_kill_only_itself(Machine::svm().cpus(4));
        a_guest_that_halts_with_interrupts_off_costs_nothing_and_can_be_destroyed(Machine::svm());
        a_flood_of_output_and_a_spinning_guest_leave_the_shell_usable(Machine::svm());
    }
    vmx {
        a_guest_can_kill_only_itself(Machine::vmx());
        a_guest_that_halts_with_interrupts_off_costs_nothing_and_can_be_destroyed(Machine::vmx());
    }
}
