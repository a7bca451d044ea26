//! What guests may rely on, tested from inside.

use machine_tests::{Arch, Cpu, Gic, Machine};

/// A test of the probe that must pass: its name, on how many vCPUs, and what else is on its command line.
type Test = (&'static str, u32, &'static str);

const AARCH64: &[Test] = &[
    ("smp", 4, ""),
    ("timer", 1, ""),
    ("psci", 2, ""),
    ("rtc", 1, ""),
    ("ipi-storm", 2, ""),
    ("ram", 1, ""),
];

const PC: &[Test] = &[
    ("smp", 4, ""),
    ("smp-by-page", 4, "apic=x"),
    ("timer", 1, ""),
    ("timer-by-page", 1, "apic=x"),
    ("rtc", 1, ""),
    ("ipi-storm", 2, "seconds=1"),
    ("nmi", 1, ""),
    ("ram", 1, ""),
    ("cpuid", 1, ""),
    ("mmio", 1, ""),
    ("mmio-string", 1, ""),
];

fn a_guest_passes(machine: Machine) {
    let tests = match machine.arch() {
        Arch::Aarch64 => AARCH64,
        Arch::X86_64 => PC,
    };
    let machine = tests.iter().fold(machine, |machine, (name, vcpus, more)| {
        let test = name.trim_end_matches("-by-page");
        machine.probe_smp(name, *vcpus, &format!("test={test} {more}"))
    });
    let mut roost = machine.boot();
    for (name, ..) in tests {
        roost.start(name);
        roost.wait_for_text(name, "probe: done");
        let log = roost.log(name);
        let test = name.trim_end_matches("-by-page");
        assert!(log.contains(&format!("probe: ok {test}")), "{log}");
        roost.wait_for_state(name, "stopped");
        roost.destroy(name);
    }
    roost.power_off();
}

fn floating_point_registers_belong_to_the_guest_that_set_them(machine: Machine) {
    let names = ["one", "two", "three"];
    let machine = names.iter().enumerate().fold(machine.cpus(1), |machine, (seed, name)| {
        machine.probe(name, &format!("test=fp seconds=4 seed={}", seed + 1))
    });
    let mut roost = machine.boot();
    for name in names {
        roost.start(name);
    }
    for name in names {
        roost.wait_for_text(name, "probe: done");
        let log = roost.log(name);
        assert!(log.contains("probe: ok fp"), "{name}: {log}");
    }
    roost.power_off();
}

fn interrupts_come_between_the_steps_of_a_repeated_instruction(machine: Machine) {
    let mut roost =
        machine.cpus(1).probe("other", "test=spin").probe("repeat", "test=repeat").boot();
    roost.start("other");
    roost.start("repeat");
    roost.wait_for_text("repeat", "probe: done");
    let log = roost.log("repeat");
    assert!(log.contains("probe: ok repeat"), "{log}");
    roost.power_off();
}

fn every_form_of_an_image_boots(machine: Machine) {
    let arch = machine.arch();
    let machine = ["elf", "bin", "elf.gz"].iter().fold(machine, |machine, form| {
        let name = form.replace('.', "-");
        let config = format!(
            "name = \"{name}\"\nmemory = \"16M\"\n[boot]\nkernel = \"hello/hello.{form}\"\ncmdline = \"count=1\"\n"
        );
        machine.file(&format!("configs/{name}.toml"), config)
    });
    let mut roost = machine.boot();
    for name in ["elf", "bin", "elf-gz"] {
        roost.start(name);
        roost.wait_for_text(name, &format!("hello: greetings from {}", arch.privilege()));
        roost.wait_for_text(
            name,
            match arch {
                Arch::Aarch64 => "16 MiB of RAM at 0x40000000, 1 CPU(s), GICv3",
                Arch::X86_64 => "16 MiB of RAM at 0x0, 1 CPU(s), x2APIC",
            },
        );
        roost.wait_for_state(name, "stopped");
    }
    roost.power_off();
}

fn a_guest_of_real_mode_runs(machine: Machine) {
    let mut roost = machine.boot();
    roost.start("real");
    roost.wait_for_text("real", "real: greetings from 16 bits");
    for _ in 0..3 {
        roost.wait_for_text("real", "real: tick");
    }
    roost.wait_for_text("real", "real: goodbye");
    roost.wait_for_state("real", "stopped");
    roost.power_off();
}

fn a_guest_is_reset_by_the_keyboard_controller(machine: Machine) {
    let mut roost = machine.probe("again", "test=reset-keyboard").boot();
    roost.start("again");
    for _ in 0..3 {
        roost.wait_for_text("again", "reset by the keyboard controller");
    }
    roost.destroy("again");
    roost.power_off();
}

machine_tests::tests! {
    aarch64 {
        a_guest_passes_on_one_cpu = a_guest_passes(Machine::virt().cpus(1));
        a_guest_of_gicv2_passes_on_one_cpu = a_guest_passes(Machine::virt().gic(Gic::V2).cpus(1));
        a_guest_passes_on_four_cpus_that_have_everything =
            a_guest_passes(Machine::virt().cpu(Cpu::Max).cpus(4));
        a_guest_of_gicv2_passes_on_four_cpus = a_guest_passes(Machine::virt().gic(Gic::V2).cpus(4));
        floating_point_registers_belong_to_the_guest_that_set_them(Machine::virt());
        all_vector_registers_belong_to_the_guest_that_set_them =
            floating_point_registers_belong_to_the_guest_that_set_them(Machine::virt().cpu(Cpu::Max));
        every_form_of_an_image_boots(Machine::virt());
    }
    svm {
        a_guest_passes_on_one_cpu = a_guest_passes(Machine::svm().cpus(1));
        a_guest_passes_on_four_cpus = a_guest_passes(Machine::svm().cpus(4));
        a_guest_passes_on_four_plain_cpus = a_guest_passes(Machine::svm().cpu(Cpu::Plain).cpus(4));
        floating_point_registers_belong_to_the_guest_that_set_them(Machine::svm());
        interrupts_come_between_the_steps_of_a_repeated_instruction(Machine::svm());
        every_form_of_an_image_boots(Machine::svm());
        a_guest_of_real_mode_runs(Machine::svm());
        a_guest_is_reset_by_the_keyboard_controller(Machine::svm());
    }
    vmx {
        a_guest_passes_on_one_cpu = a_guest_passes(Machine::vmx());
        floating_point_registers_belong_to_the_guest_that_set_them(Machine::vmx());
        every_form_of_an_image_boots(Machine::vmx());
        a_guest_of_real_mode_runs(Machine::vmx());
    }
}
