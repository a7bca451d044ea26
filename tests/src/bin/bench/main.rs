//! Measures Roost in counted instructions: prints a table, and writes JSON.
//!
//! ```text
//! bench [OUT.json]
//! ```
//!
//! QEMU counts (`-icount shift=0`): a nanosecond of virtual time is an executed instruction, so figures repeat to the last
//! digit. What happens while all CPUs sleep costs the time until the next event: Linux figures contain such waits, on both sides.

mod bare;
mod device_tree;
mod figure;
mod lines;
mod linux;
mod operations;

use std::fs;
use std::process::ExitCode;

use figure::{Figure, to_json, to_table};

fn main() -> ExitCode {
    let out = std::env::args().nth(1);
    let mut figures = Vec::new();
    eprintln!("bench: operations, memory, size (about a minute)");
    figures.extend(operations::measure());
    eprintln!("bench: Linux to its prompt, on Roost and on bare QEMU (some minutes)");
    figures.extend(linux::measure());
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
