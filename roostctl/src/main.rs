//! `roostctl`: Roost's shell, for the desk and for scripts. `docs/remote.md` has it for its users.
//!
//! ```text
//!    arguments ─▶ where to, as whom, what ─▶ Client: hello, login, a line and its answer
//!                                              └─ `vm console` ─▶ console: the terminal's bytes both ways
//! ```
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod console;
mod failure;
mod reply;
mod run;
mod terminal;

use std::env;
use std::io;
use std::process::ExitCode;

use console::Keys;
use run::Streams;

fn main() -> ExitCode {
    let environment = |name: &str| env::var(name).ok();
    // Standard input is not locked: a console reads it in a thread of its own.
    let mut streams = Streams {
        input: &mut io::BufReader::new(io::stdin()),
        keys: Keys::StandardInput,
        out: &mut io::stdout().lock(),
        errors: &mut io::stderr().lock(),
    };
    ExitCode::from(run::run(env::args_os().skip(1), &environment, &mut streams))
}
