//! Measures Roost in counted instructions: prints a table, and writes JSON.
//!
//! ```text
//! bench ARCH [OUT.json]
//! ```
//!
//! QEMU counts (`-icount shift=0`): a nanosecond of virtual time is an executed instruction, so figures repeat to the last
//! digit. What happens while all CPUs sleep costs the time until the next event: Linux figures contain such waits, on both sides.

mod aarch64;
mod bare;
mod figure;
mod lines;
mod pc;

use std::fs;
use std::process::ExitCode;

use figure::{Figure, to_json, to_table};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (arch, out) = (arguments.next(), arguments.next());
    let figures = match arch.as_deref() {
        Some("aarch64") => aarch64::measure(),
        Some("x86_64") => pc::measure(),
        _ => {
            eprintln!("usage: bench aarch64|x86_64 [OUT.json]");
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
