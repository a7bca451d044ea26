//! The figures of PCs: SVM in QEMU, which counts instructions; VMX in Bochs, whose time-stamp counter does.

use std::collections::BTreeMap;

use machine_tests::{Arch, Guests, Machine};

use crate::bare::{Bare, Board, Clock, PATIENCE};
use crate::figure::{Figure, Unit};
use crate::lines::{benchmarks, documents};
use crate::outside;

/// Benchmarks of the probe, what they are called on SVM and on VMX, and the most instructions that they may take.
const TARGETS: [(&str, [&str; 2], Option<f64>); 15] = [
    ("cpuid", ["CPUID, SVM", "CPUID, VMX"], Some(200.0)),
    ("hypercall", ["VMMCALL, SVM", "VMCALL, VMX"], Some(160.0)),
    ("rdmsr-pat", ["RDMSR of PAT, SVM", "RDMSR of PAT, VMX"], Some(250.0)),
    ("port-read", ["IN from the PIC, SVM", "IN from the PIC, VMX"], Some(400.0)),
    ("port-write", ["OUT to the CMOS clock, SVM", "OUT to the CMOS clock, VMX"], Some(450.0)),
    ("ioapic-read", ["MMIO read of the IOAPIC, SVM", "MMIO read of the IOAPIC, VMX"], None),
    (
        "ioapic-write",
        ["MMIO write to the IOAPIC, SVM", "MMIO write to the IOAPIC, VMX"],
        Some(900.0),
    ),
    ("lapic-read", ["MMIO read of the local APIC, SVM", "MMIO read of the local APIC, VMX"], None),
    (
        "lapic-write",
        ["MMIO write to the local APIC, SVM", "MMIO write to the local APIC, VMX"],
        Some(900.0),
    ),
    ("ipi-self", ["IPI to itself, SVM", "IPI to itself, VMX"], None),
    (
        "timer-spin",
        ["timer while spinning, lateness, SVM", "timer while spinning, lateness, VMX"],
        None,
    ),
    ("timer-sleep", ["timer from HLT, lateness, SVM", "timer from HLT, lateness, VMX"], None),
    (
        "ipi-ping-pong",
        ["IPI round trip, 2 vCPUs on 1 CPU, SVM", "IPI round trip, 2 vCPUs on 1 CPU, VMX"],
        None,
    ),
    ("console-char", ["a character to the console, SVM", "a character to the console, VMX"], None),
    ("first-touch", ["first touch of a page, SVM", "first touch of a page, VMX"], Some(5.0)),
];

/// One boot that does all; nothing may depend on when it is typed.
const SCRIPT: &str = "\
uptime --json
mem --json
vm create probe
vm start probe
vm wait probe --timeout 1h
vm log probe
vm destroy probe
vm create probe 'cmdline=bench=lapic-read,lapic-write apic=x'
vm start probe
vm wait probe --timeout 1h
vm log probe
vm destroy probe
";

/// What is measured where Linux boots in seconds.
const LINUX: &str = "\
vm create linux 'cmdline=console=ttyS0 quiet roost.counter'
vm start linux
vm expect linux 'linux:~# ' --timeout 1h
vm log linux
vm destroy linux --force
vm create linux --name a
vm create linux --name b
vm create linux --name c
vm create linux --name d
mem --json
";

/// Measures.
pub(crate) fn measure() -> Vec<Figure> {
    eprintln!("bench: SVM in QEMU (about a minute)");
    let script = format!("{SCRIPT}{LINUX}poweroff\n");
    let machine = Machine::svm().cpus(1).memory_mib(2048).guests(Guests::All).counted();
    let svm = run(machine.file("autostart", script));
    let bare = bare("bench=all apic=x");
    let mut figures = operations(0, &benchmarks(&svm), &bare);
    let documents = documents(&svm);
    figures.push(outside::prompt("power-on to the shell, SVM", &documents, None));
    figures.push(linux(&svm));
    figures.push(outside::binary(Arch::X86_64, "roost.elf", None));
    figures.extend(outside::memory(&documents, None));
    eprintln!("bench: VMX in Bochs (about a minute)");
    let script = format!("{SCRIPT}poweroff\n");
    let vmx = run(Machine::vmx().file("autostart", script));
    figures.extend(operations(1, &benchmarks(&vmx), &BTreeMap::new()));
    figures
}

fn run(machine: Machine) -> String {
    let mut roost = machine.switch_on();
    roost.wait_for_exit_within(PATIENCE);
    roost.serial().transcript()
}

fn bare(command_line: &str) -> BTreeMap<String, f64> {
    let bare = Bare {
        board: Board::Pc,
        kernel: "images/probe/probe.elf",
        initrd: None,
        command_line,
        device_tree: None,
        // QEMU 7.2 that counts lets a second CPU of a PC wait for ever.
        cpus: 1,
        clock: Clock::Counted,
    };
    bare.run_until("probe: done").map(|text| benchmarks(&text)).unwrap_or_default()
}

fn operations(
    column: usize,
    found: &BTreeMap<String, f64>,
    bare: &BTreeMap<String, f64>,
) -> Vec<Figure> {
    let figure = |(key, names, target): &(&str, [&'static str; 2], Option<f64>)| Figure {
        name: names.get(column).copied().unwrap_or_default().into(),
        unit: Unit::Instructions,
        value: found.get(*key).copied(),
        bare: bare.get(*key).copied(),
        target: *target,
    };
    TARGETS.iter().map(figure).collect()
}

/// Linux to its prompt; the bare machine's firmware runs before it, and it has more devices.
fn linux(svm: &str) -> Figure {
    let bare = Bare {
        board: Board::Pc,
        kernel: "images/linux/bzImage",
        initrd: Some("images/linux/initrd.cpio.gz"),
        command_line: "console=ttyS0 quiet roost.counter",
        device_tree: None,
        cpus: 1,
        clock: Clock::Counted,
    };
    let bare = bare.run_until("linux:~# ");
    Figure {
        name: "Linux to its prompt, quiet, SVM".into(),
        unit: Unit::Instructions,
        value: crate::lines::counter(svm),
        bare: bare.as_deref().and_then(crate::lines::counter),
        target: None,
    }
}
