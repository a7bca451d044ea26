//! The commands that a session is running: a line that was typed, or a script.

use crate::error::Error;
use crate::words;
use alloc::format;
use alloc::string::String;

/// What an error does in a script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    /// The script ends.
    Stop,
    /// The script goes on.
    Continue,
    /// The emulator ends with this status.
    Exit(u8),
}

/// Where commands come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// A user typed them.
    Typed,
    /// A script of many lines.
    File(String),
    /// A sequence on Roost's command line.
    CommandLine(String),
}

/// Commands that run one after another.
pub(crate) struct Program {
    origin: Origin,
    text: String,
    /// Where the rest begins.
    at: usize,
    /// The current line, from 1.
    line: usize,
    /// The current command, from 1.
    nth: usize,
    pub(crate) policy: Policy,
}

impl Program {
    pub(crate) fn new(origin: Origin, text: &str) -> Self {
        Self { origin, text: text.into(), at: 0, line: 0, nth: 0, policy: Policy::Stop }
    }

    /// Whether a user typed it, rather than a script.
    pub(crate) fn is_typed(&self) -> bool {
        self.origin == Origin::Typed
    }

    /// The next command that is not empty.
    ///
    /// # Errors
    ///
    /// A quote is not closed on the line where the command would be. Nothing of that line runs.
    pub(crate) fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            if self.is_line_start() {
                self.line += 1;
                if let Err(error) = check(line) {
                    self.at += line.len();
                    self.nth += 1;
                    return Some(Err(error));
                }
            }
            let (command, after) = match words::next_command(line)? {
                Ok(next) => next,
                Err(error) => {
                    self.at += line.len();
                    return Some(Err(error));
                }
            };
            let command = String::from(command);
            self.at += line.len() - after.len();
            if !command.is_empty() {
                self.nth += 1;
                return Some(Ok(command));
            }
        }
    }

    /// What names the current command in front of an error: empty, `autostart:3: ` or
    /// `roost.cmd: command 2: `.
    pub(crate) fn place(&self) -> String {
        match &self.origin {
            Origin::Typed => String::new(),
            Origin::File(name) => format!("{name}:{}: ", self.line),
            Origin::CommandLine(name) => format!("{name}: command {}: ", self.nth),
        }
    }

    fn is_line_start(&self) -> bool {
        self.at == 0 || self.text.as_bytes().get(self.at - 1) == Some(&b'\n')
    }
}

/// Whether all commands of a line can be taken apart.
fn check(mut line: &str) -> Result<(), Error> {
    while let Some(next) = words::next_command(line) {
        line = next?.1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mut program: Program) -> Vec<(String, Result<String, String>)> {
        core::iter::from_fn(|| {
            let next = program.next()?;
            Some((program.place(), next.map_err(|error| error.to_string())))
        })
        .collect()
    }

    #[test]
    fn scripts_name_lines() {
        let text = "# hello\n\na; b\r\n  c # d\n'x\ne";
        assert_eq!(
            run(Program::new(Origin::File("boot".into()), text)),
            [
                ("boot:3: ".into(), Ok("a".into())),
                ("boot:3: ".into(), Ok("b".into())),
                ("boot:4: ".into(), Ok("c".into())),
                ("boot:5: ".into(), Err("a quote ' is not closed: 'x".into())),
                ("boot:6: ".into(), Ok("e".into())),
            ]
        );
    }

    #[test]
    fn command_lines_name_commands() {
        assert_eq!(
            run(Program::new(Origin::CommandLine("roost.cmd".into()), "a;;b")),
            [
                ("roost.cmd: command 1: ".into(), Ok("a".into())),
                ("roost.cmd: command 2: ".into(), Ok("b".into())),
            ]
        );
    }

    #[test]
    fn nothing_of_a_line_with_an_open_quote_runs() {
        assert_eq!(run(Program::new(Origin::Typed, "a; b \"c")).len(), 1);
    }
}
