//! Measures Roost in counted instructions: prints a table, and writes JSON.
//!
//! ```text
//! bench ARCH [OUT.json [virtio|network]]
//! ```
//!
//! The last word leaves out all else; the network, which is measured in time and not in instructions, is only measured when
//! it is asked for. QEMU counts (`-icount shift=0`): a nanosecond of virtual time is an executed instruction, so figures
//! repeat to the last digit. What happens while all CPUs sleep costs the time until the next event: Linux figures contain such waits, on both sides.

mod aarch64;
mod bare;
mod figure;
mod lines;
mod network;
mod outside;
mod pc;
mod throughput;
mod virtio;

use std::fs;
use std::process::ExitCode;

use bare::Board;
use figure::{Figure, to_json, to_table};
use machine_tests::Machine;

fn network(machine: fn() -> Machine, board: Board) -> Vec<Figure> {
    [throughput::measure(machine(), board), network::measure(machine())].concat()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (arch, out, only) = (arguments.next(), arguments.next(), arguments.next());
    let figures = match (arch.as_deref(), only.as_deref().unwrap_or_default()) {
        (Some("aarch64"), "") => [aarch64::measure(), virtio::measure(Board::Virt)].concat(),
        (Some("x86_64"), "") => [pc::measure(), virtio::measure(Board::Microvm)].concat(),
        (Some("aarch64"), "virtio") => virtio::measure(Board::Virt),
        (Some("x86_64"), "virtio") => virtio::measure(Board::Microvm),
        (Some("aarch64"), "network") => network(Machine::virt, Board::Virt),
        (Some("x86_64"), "network") => network(Machine::svm, Board::Microvm),
        _ => {
            eprintln!("usage: bench aarch64|x86_64 [OUT.json [virtio|network]]");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", to_table(&figures));
    if let Some(path) = out
        && let Err(error) = fs::write(&path, to_json(&figures))
    {
        eprintln!("bench: {path}: {error}");
        return ExitCode::FAILURE;
    }
    let missed: Vec<&Figure> = figures.iter().filter(|figure| !figure.is_met()).collect();
    println!("{} of {} targets met", figures.len() - missed.len(), figures.len());
    ExitCode::SUCCESS
}
