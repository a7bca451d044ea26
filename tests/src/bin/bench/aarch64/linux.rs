//! Linux to its prompt, on Roost and on bare QEMU with the same device tree.

use std::fs;
use std::path::PathBuf;

use machine_tests::{Arch, Guests, Machine, build_directory};

use super::device_tree;
use crate::bare::{Bare, Board, Clock, PATIENCE};
use crate::figure::{Figure, Unit};
use crate::lines::counter;

/// Instructions in a tick of the counter: it has 62.5 MHz.
const INSTRUCTIONS_PER_TICK: f64 = 16.0;
const PROMPT: &str = "linux:~# ";
const QUIET: &str = "console=ttyAMA0 quiet roost.counter";
const CHATTY: &str = "console=ttyAMA0 roost.counter";

/// Measures.
pub(crate) fn measure() -> Vec<Figure> {
    let quiet = on_roost(QUIET);
    let chatty = on_roost(CHATTY);
    // The guest tells what its device tree is; on bare QEMU it gets the same one.
    let tree = quiet.as_deref().and_then(guests_device_tree);
    let figure = |name: [&str; 2], command_line, text: Option<&str>, most| {
        let instructions = |text: &str| counter(text).map(|ticks| ticks * INSTRUCTIONS_PER_TICK);
        let value = text.and_then(instructions);
        let bare = on_bare_qemu(command_line, tree.as_deref()).as_deref().and_then(instructions);
        let target = bare.map(|bare| bare * (1.0 + most / 100.0));
        let ratio = value.zip(bare).map(|(value, bare)| (value / bare - 1.0) * 100.0);
        let [name, relative] = name;
        [
            Figure { name: name.into(), unit: Unit::Instructions, value, bare, target },
            Figure {
                name: relative.into(),
                unit: Unit::Percent,
                value: ratio,
                bare: Some(0.0),
                target: Some(most),
            },
        ]
    };
    let quiet_names = ["Linux to its prompt, quiet", "Linux to its prompt, quiet, over bare"];
    let chatty_names = ["Linux to its prompt, chatty", "Linux to its prompt, chatty, over bare"];
    [
        figure(quiet_names, QUIET, quiet.as_deref(), 0.5),
        figure(chatty_names, CHATTY, chatty.as_deref(), 3.0),
    ]
    .concat()
}

fn on_roost(command_line: &str) -> Option<String> {
    let script = format!(
        "vm create linux 'cmdline={command_line}'\n\
         vm start linux\n\
         vm expect linux '{PROMPT}' --timeout 1h\n\
         vm send linux 'base64 /sys/firmware/fdt; echo end of $((1 + 1))\\r'\n\
         vm expect linux 'end of 2' --timeout 1h\n\
         vm log linux\n\
         poweroff\n"
    );
    let mut roost = Machine::virt()
        .cpus(1)
        .memory_mib(2048)
        .guests(Guests::All)
        .file("autostart", script)
        .counted()
        .switch_on();
    roost.wait_for_exit_within(PATIENCE);
    Some(roost.serial().transcript())
}

fn on_bare_qemu(command_line: &str, device_tree: Option<&std::path::Path>) -> Option<String> {
    let bare = Bare {
        board: Board::Virt,
        kernel: "images/linux/Image",
        initrd: Some("images/linux/initrd.cpio.gz"),
        command_line,
        device_tree,
        cpus: 1,
        clock: Clock::Counted,
    };
    bare.run_until(PROMPT)
}

/// Takes the guest's device tree from its console, and puts back what Linux has erased from it.
fn guests_device_tree(transcript: &str) -> Option<PathBuf> {
    let (_, rest) = transcript.rsplit_once("base64 /sys/firmware/fdt")?;
    let (_, rest) = rest.split_once('\n')?;
    let (text, _) = rest.split_once("end of 2")?;
    let tree = device_tree::with_seed(&device_tree::from_base64(text))?;
    let path = build_directory(Arch::Aarch64).join("guest.dtb");
    fs::write(&path, tree).ok()?;
    Some(path)
}
