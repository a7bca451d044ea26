//! `help`, and the reference in `docs/shell.md`.

use super::GROUPS;
use crate::access::{Needs, User};
use crate::arguments::Arguments;
use crate::command::{self, Command, Count, Flow, Kind, Parameter};
use crate::context::Context;
use crate::error::Error;
use crate::output::Output;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};

/// Characters in a line of running text.
const WIDTH: usize = 78;

pub(super) const COMMANDS: &[Command] = &[Command {
    path: &["help"],
    needs: Needs::Login,
    parameters: &[Parameter { name: "COMMAND", count: Count::Any, kind: Kind::Command }],
    options: &[],
    summary: "list all commands, or explain one",
    details: "Any command explains itself with --help, too. The list has those that you may use.",
    example: "help vm create",
    run: help,
}];

fn help(context: &mut Context<'_>, arguments: &Arguments) -> Result<Flow, Error> {
    let words = arguments.words(0);
    if words.is_empty() {
        list_all(context.out, context.user)?;
        return Ok(Flow::Done);
    }
    match command::find(words) {
        Some((found, used)) if used == words.len() => explain(context.out, found)?,
        _ => {
            let group = command::under(words);
            if group.is_empty() {
                return Err(command::unknown(words));
            }
            list(context.out, group.into_iter())?;
        }
    }
    Ok(Flow::Done)
}

/// What the user may not use at all is left out.
fn list_all(out: &mut Output, user: &User) -> fmt::Result {
    for group in GROUPS {
        let mut commands = group
            .parts
            .iter()
            .copied()
            .flatten()
            .filter(|command| user.can_use(command))
            .peekable();
        if commands.peek().is_some() {
            writeln!(out, "{}:", group.title)?;
            list(out, commands)?;
        }
    }
    writeln!(out, "'help COMMAND' explains one. ';' separates commands, Tab completes words.")
}

fn list<'a>(out: &mut Output, commands: impl Iterator<Item = &'a Command>) -> fmt::Result {
    for command in commands {
        writeln!(out, "  {:14} {}", command.name(), command.summary)?;
    }
    Ok(())
}

/// Explains one command.
pub(crate) fn explain(out: &mut Output, command: &Command) -> fmt::Result {
    writeln!(out, "{}", command.usage())?;
    paragraph(out, "  ", &sentence(command.summary))?;
    paragraph(out, "  ", command.details)?;
    for option in command.options {
        writeln!(out, "  {:20} {}", option.usage(), option.help)?;
    }
    if command.needs != Needs::Login {
        writeln!(out, "  {}", command.needs)?;
    }
    writeln!(out, "Example: {}", command.example)
}

fn sentence(summary: &str) -> String {
    let mut letters = summary.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}.", first.to_ascii_uppercase(), letters.as_str())
    })
}

fn paragraph(out: &mut Output, indent: &str, text: &str) -> fmt::Result {
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if column > 0 && column + 1 + word.len() > WIDTH {
            writeln!(out)?;
            column = 0;
        }
        let gap = if column == 0 { indent } else { " " };
        write!(out, "{gap}{word}")?;
        column += gap.len() + word.len();
    }
    if column > 0 { writeln!(out) } else { Ok(()) }
}

#[cfg(test)]
/// The table as a chapter of Markdown, for `docs/shell.md`.
fn reference() -> String {
    let mut text = String::new();
    for group in GROUPS {
        text.push_str(&format!("### {}\n", group.title));
        for command in group.parts.iter().copied().flatten() {
            text.push_str(&format!(
                "\n#### `{}`\n\n{}",
                command.usage(),
                sentence(command.summary)
            ));
            if !command.details.is_empty() {
                text.push_str(&format!(" {}", command.details));
            }
            text.push_str(&format!(" {}", command.needs));
            text.push('\n');
            if !command.options.is_empty() {
                text.push('\n');
            }
            for option in command.options {
                text.push_str(&format!("- `{}`: {}\n", option.usage(), option.help));
            }
            text.push_str(&format!("\n```\nroost> {}\n```\n", command.example));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual, and where its generated part begins.
    const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/shell.md");
    const MARK: &str = "reference` -->\n\n";

    #[test]
    fn the_reference_in_the_manual_is_the_table() {
        let manual = std::fs::read_to_string(MANUAL).unwrap();
        let start = manual.find(MARK).unwrap() + MARK.len();
        let reference = reference();
        let reference = format!("{}\n", reference.trim_end());
        if std::env::var_os("ROOST_UPDATE_DOCS").is_some() {
            std::fs::write(MANUAL, format!("{}{reference}", &manual[..start])).unwrap();
            return;
        }
        assert_eq!(
            &manual[start..],
            reference,
            "run ROOST_UPDATE_DOCS=1 cargo test -p shell reference"
        );
    }
}
