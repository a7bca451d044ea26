//! What guests may rely on, tested from inside.

use machine_tests::{Cpu, Gic, Machine};

/// Tests of the probe that must pass, and on how many vCPUs.
const TESTS: [(&str, u32); 6] =
    [("smp", 4), ("timer", 1), ("psci", 2), ("rtc", 1), ("ipi-storm", 2), ("ram", 1)];

fn passes_everything(cpu: Cpu, gic: Gic, cpus: u32) {
    let mut machine = Machine::new().cpu(cpu).gic(gic).cpus(cpus);
    for (name, vcpus) in TESTS {
        machine = machine.probe_smp(name, vcpus, &format!("test={name}"));
    }
    let mut roost = machine.boot();
    for (name, _) in TESTS {
        roost.start(name);
        roost.wait_for_text(name, "probe: done");
        let log = roost.log(name);
        assert!(log.contains(&format!("probe: ok {name}")), "{log}");
        roost.wait_for_state(name, "stopped");
        roost.destroy(name);
    }
    roost.power_off();
}

#[test]
fn a_guest_of_gicv3_passes_on_one_cpu() {
    passes_everything(Cpu::CortexA57, Gic::V3, 1);
}

#[test]
fn a_guest_of_gicv2_passes_on_one_cpu() {
    passes_everything(Cpu::CortexA57, Gic::V2, 1);
}

#[test]
fn a_guest_of_gicv3_passes_on_four_cpus_that_have_everything() {
    passes_everything(Cpu::Max, Gic::V3, 4);
}

#[test]
fn a_guest_of_gicv2_passes_on_four_cpus() {
    passes_everything(Cpu::CortexA57, Gic::V2, 4);
}

#[test]
fn floating_point_registers_belong_to_the_guest_that_set_them() {
    let names = ["one", "two", "three"];
    for cpu in [Cpu::CortexA57, Cpu::Max] {
        let mut machine = Machine::new().cpus(1).cpu(cpu);
        for (seed, name) in names.iter().enumerate() {
            machine = machine.probe(name, &format!("test=fp seconds=4 seed={}", seed + 1));
        }
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
}

#[test]
fn every_form_of_an_image_boots() {
    let mut machine = Machine::new();
    for form in ["elf", "bin", "elf.gz"] {
        let name = form.replace('.', "-");
        let config = format!(
            "name = \"{name}\"\nmemory = \"16M\"\n[boot]\nkernel = \"hello/hello.{form}\"\ncmdline = \"count=1\"\n"
        );
        machine = machine.file(&format!("configs/{name}.toml"), config);
    }
    let mut roost = machine.boot();
    for name in ["elf", "bin", "elf-gz"] {
        roost.start(name);
        roost.wait_for_text(name, "hello: greetings from EL1");
        roost.wait_for_text(name, "16 MiB of RAM at 0x40000000, 1 CPU(s), GICv3");
        roost.wait_for_state(name, "stopped");
    }
    roost.power_off();
}
