//! Single operations from inside of the probe; boot, memory and size from outside.

use machine_tests::{Arch, Guests, Machine};

use crate::bare::{Bare, Board, Clock, PATIENCE};
use crate::figure::{Figure, Unit};
use crate::lines::{benchmarks, documents, field};
use crate::outside;

/// Benchmarks of the probe and their targets in instructions.
const TARGETS: [(&str, &str, Option<f64>); 10] = [
    ("hvc-version", "HVC PSCI_VERSION", Some(140.0)),
    ("hvc-unknown", "unknown HVC", Some(160.0)),
    ("mmio-gicd-typer", "MMIO read of GICD_TYPER", Some(230.0)),
    ("mmio-uart-fr", "MMIO read of the UART", Some(300.0)),
    ("id-register", "trapped ID register read", Some(160.0)),
    ("ipi-self", "SGI to itself", Some(400.0)),
    ("timer-spin", "timer while spinning, lateness", Some(250.0)),
    ("ipi-ping-pong", "IPI round trip, 2 vCPUs on 1 CPU", Some(3000.0)),
    ("console-char", "a character to the console", Some(600.0)),
    ("first-touch", "first touch of a page", Some(5.0)),
];

/// One boot that does all; the emulator counts, so nothing may depend on when it is typed.
const SCRIPT: &str = "\
uptime --json
mem --json
vm create linux
vm start linux
vm list --json
uptime --json
vm destroy linux --force
vm create probe
vm start probe
vm wait probe --timeout 1h
vm log probe
vm destroy probe
vm create probe --name sleeper vcpus=1 cmdline=test=idle
vm start sleeper
vm create probe --name shared cmdline=bench=timer-sleep
vm start shared
vm wait shared --timeout 1h
echo with company
vm log shared
vm destroy sleeper shared --force
vm create linux --name a
vm create linux --name b
vm create linux --name c
vm create linux --name d
mem --json
poweroff
";

/// Measures.
pub(crate) fn measure() -> Vec<Figure> {
    let bare = Bare {
        board: Board::Virt,
        kernel: "images/probe/probe.bin",
        initrd: None,
        command_line: "bench=all",
        device_tree: None,
        cpus: 2,
        clock: Clock::Counted,
    };
    let bare = bare.run_until("probe: done").map(|text| benchmarks(&text)).unwrap_or_default();

    let mut roost = Machine::virt()
        .cpus(1)
        .memory_mib(2048)
        .guests(Guests::All)
        .file("autostart", SCRIPT)
        .counted()
        .switch_on();
    roost.wait_for_exit_within(PATIENCE);
    let transcript = roost.serial().transcript();
    let (alone, shared) = transcript.split_once("with company").unwrap_or((&transcript, ""));
    let (alone, shared) = (benchmarks(alone), benchmarks(shared));
    let documents = documents(&transcript);

    let mut figures: Vec<Figure> = TARGETS
        .iter()
        .map(|(key, name, target)| Figure {
            name: (*name).into(),
            unit: Unit::Instructions,
            value: alone.get(*key).copied(),
            bare: bare.get(*key).copied(),
            target: *target,
        })
        .collect();
    let sleeping = |name: &str, from: &std::collections::BTreeMap<String, f64>, target| Figure {
        name: name.into(),
        unit: Unit::Instructions,
        value: from.get("timer-sleep").copied(),
        bare: bare.get("timer-sleep").copied(),
        target: Some(target),
    };
    figures.push(sleeping("timer from WFI, alone on its CPU, lateness", &alone, 260.0));
    figures.push(sleeping("timer from WFI, lateness", &shared, 1000.0));

    figures.push(outside::prompt("power-on to the shell", &documents, Some(4e6)));
    figures.push(Figure::without_bare(
        "create and start of 256 MiB",
        Unit::Instructions,
        first_instruction(&documents),
        None,
    ));
    figures.push(outside::binary(Arch::Aarch64, "roost.bin", Some(f64::from(1 << 20))));
    figures.extend(outside::memory(&documents, Some(f64::from(8 << 20))));
    figures
}

/// From the command `vm create` to where the VM's own uptime began.
fn first_instruction(documents: &[serde_json::Value]) -> Option<f64> {
    let before = field(documents, "uptime_ns", 0)?;
    let after = field(documents, "uptime_ns", 1)?;
    let list = documents.iter().find_map(|document| document.as_array()?.first());
    Some(after - list?.get("uptime_ns")?.as_f64()? - before)
}
