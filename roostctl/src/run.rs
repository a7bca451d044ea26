//! The program: from its arguments to its exit status.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, Write};

use serde_json::Value;

use crate::arguments::{self, Commands, Format, HELP, Order, Wish};
use crate::client::{Answer, Client};
use crate::console::{self, Keys};
use crate::failure::Failure;
use crate::terminal;

/// What the program reads and writes.
pub(crate) struct Streams<'a> {
    /// Commands of a script.
    pub(crate) input: &'a mut dyn BufRead,
    /// What is typed on a console.
    pub(crate) keys: Keys,
    /// Results.
    pub(crate) out: &'a mut dyn Write,
    /// What went wrong, and notes.
    pub(crate) errors: &'a mut dyn Write,
}

/// Runs all of it, and returns the exit status.
pub(crate) fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &dyn Fn(&str) -> Option<String>,
    streams: &mut Streams<'_>,
) -> u8 {
    let result = match arguments::parse(arguments, environment) {
        Ok(Wish::Help) => print(streams.out, HELP.trim_end()),
        Ok(Wish::Version) => print(streams.out, concat!("roostctl ", env!("CARGO_PKG_VERSION"))),
        Ok(Wish::Run(order)) => carry_out(&order, environment, streams),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(()) => 0,
        Err(failure) => {
            // If nobody reads that either, the status says it.
            let _ = writeln!(streams.errors, "roostctl: {failure}");
            failure.status()
        }
    }
}

fn carry_out(
    order: &Order,
    environment: &dyn Fn(&str) -> Option<String>,
    streams: &mut Streams<'_>,
) -> Result<(), Failure> {
    let password = password(order, environment)?;
    let mut client = Client::connect(&order.host, order.port)?;
    client.log_in(&order.user, &password)?;
    drop(password);
    if order.format == Format::Text {
        client.ask("format text")?;
    }
    let size = match streams.keys {
        Keys::StandardInput => terminal::size(io::stdin()),
        Keys::Nothing => None,
    };
    if let Some((columns, rows)) = size {
        client.ask(&format!("size {columns} {rows}"))?;
    }
    let Streams { input, keys, out, errors } = streams;
    match &order.commands {
        Commands::One(line) => match client.ask(line)? {
            Answer::Result(result) => show(&result, order.format, *out),
            Answer::Attached(about) => {
                console::show(client, &about, (*keys, order.escape), *out, *errors)
            }
        },
        Commands::Input => run_all(&mut client, order.format, *input, *out),
    }
}

/// Runs lines up to the first that fails.
fn run_all(
    client: &mut Client,
    format: Format,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    for (index, line) in input.lines().enumerate() {
        let place = format!("line {}", index + 1);
        let line = line.map_err(|error| Failure::Usage(format!("{place}: {error}")))?;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.chars().any(|char| char.is_control() && char != '\t') {
            return Err(Failure::Usage(format!("{place}: a command has no control characters")));
        }
        match client.ask(line).map_err(|failure| failure.at(&place))? {
            Answer::Result(result) => show(&result, format, out)?,
            Answer::Attached(_) => {
                return Err(Failure::Usage(format!("{place}: a console is not for scripts")));
            }
        }
    }
    Ok(())
}

fn password(
    order: &Order,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    if let Some(path) = &order.password_file {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        return Ok(text.lines().next().unwrap_or_default().into());
    }
    if let Some(password) = environment("ROOST_PASSWORD") {
        return Ok(password);
    }
    terminal::ask_password(&format!("{}@{}'s password: ", order.user, order.host))
}

/// Prints a result: what the shell says, or a document.
fn show(result: &Value, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    match (result, format) {
        (Value::Null, Format::Text) => Ok(()),
        (Value::String(text), Format::Text) if text.is_empty() => Ok(()),
        (Value::String(text), Format::Text) => print(out, text),
        (document, _) => print(out, &document.to_string()),
    }
}

fn print(out: &mut dyn Write, text: &str) -> Result<(), Failure> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // Who reads no more, as `head` does, has all that it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Usage(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
