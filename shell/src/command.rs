//! The shape of the command table: what a command is called, takes and does.

use crate::access::Needs;
use crate::arguments::Arguments;
use crate::commands;
use crate::context::Context;
use crate::error::Error;
use crate::slip;
use crate::task::Task;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How often a parameter may appear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Count {
    /// Once.
    One,
    /// Once or not at all.
    Optional,
    /// Once or more. Only the last parameter.
    Many,
    /// Any number of times. Only the last parameter.
    Any,
}

/// What a word is, for completion.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A VM's name or id.
    Vm,
    /// A configuration's name.
    Config,
    /// The name of a disk of the host.
    Disk,
    /// What is behind a VM's disk, as a configuration says it.
    Backing,
    /// The name of a command.
    Command,
    /// The name of somebody who can log in.
    User,
    /// States, separated by commas.
    States,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, and a value after it.
    Assignment(&'static [&'static str]),
    /// Anything, also what looks like an option.
    Text,
    /// Something that cannot be guessed: a number, a duration, a new name.
    Value,
}

/// A positional parameter.
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) count: Count,
    pub(crate) kind: Kind,
}

/// An option.
pub(crate) struct Switch {
    /// With its dashes.
    pub(crate) name: &'static str,
    /// The name and kind of its value, if it takes one.
    pub(crate) value: Option<(&'static str, Kind)>,
    pub(crate) help: &'static str,
}

impl Switch {
    /// `--json`, for listings.
    pub(crate) const JSON: Self =
        Self { name: "--json", value: None, help: "answer with one JSON document on one line" };

    /// The option as usage lines show it.
    pub(crate) fn usage(&self) -> String {
        self.value.map_or_else(|| self.name.into(), |(value, _)| format!("{} {value}", self.name))
    }
}

/// What a command has come to when its function returns.
pub(crate) enum Flow {
    /// It is done.
    Done,
    /// It goes on in polls.
    Wait(Box<dyn Task>),
    /// The session is over.
    Logout,
}

/// A function of the table.
pub(crate) type Run = fn(&mut Context<'_>, &Arguments) -> Result<Flow, Error>;

/// One entry of the table.
pub(crate) struct Command {
    /// Its words, such as `vm` and `create`.
    pub(crate) path: &'static [&'static str],
    /// What its user needs.
    pub(crate) needs: Needs,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) options: &'static [Switch],
    /// One line: what it does.
    pub(crate) summary: &'static str,
    /// What there is to know besides; may be empty.
    pub(crate) details: &'static str,
    pub(crate) example: &'static str,
    pub(crate) run: Run,
}

impl Command {
    /// Its name: `vm create`.
    pub(crate) fn name(&self) -> String {
        self.path.join(" ")
    }

    /// Its name, parameters and options in one line.
    pub(crate) fn usage(&self) -> String {
        let mut usage = self.name();
        for Parameter { name, count, .. } in self.parameters {
            usage.push_str(&match count {
                Count::One => format!(" {name}"),
                Count::Optional => format!(" [{name}]"),
                Count::Many => format!(" {name}..."),
                Count::Any => format!(" [{name}...]"),
            });
        }
        for option in self.options {
            usage.push_str(&format!(" [{}]", option.usage()));
        }
        usage
    }

    pub(crate) fn switch(&self, name: &str) -> Option<&'static Switch> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The parameter that the word at a place is for.
    pub(crate) fn parameter(&self, index: usize) -> Option<&'static Parameter> {
        self.parameters.get(index).or_else(|| {
            self.parameters.last().filter(|last| matches!(last.count, Count::Many | Count::Any))
        })
    }
}

/// The command that begins these words, and how many of them are its name.
pub(crate) fn find(words: &[String]) -> Option<(&'static Command, usize)> {
    commands::all()
        .filter(|command| begins_with(words, command.path))
        .max_by_key(|command| command.path.len())
        .map(|command| (command, command.path.len()))
}

/// The commands whose names begin with these words.
pub(crate) fn under(words: &[String]) -> Vec<&'static Command> {
    commands::all()
        .filter(|command| {
            command.path.len() >= words.len()
                && command.path.iter().zip(words).all(|(have, want)| have == want)
        })
        .collect()
}

/// Why no command begins with these words.
pub(crate) fn unknown(words: &[String]) -> Error {
    let Some(first) = words.first() else { return Error::new("no command") };
    let group = under(core::slice::from_ref(first));
    let given = words.get(..2).unwrap_or(words).join(" ");
    let inner = words.get(..2).map(under).unwrap_or_default();
    if !inner.is_empty() {
        let thirds: Vec<&str> =
            inner.iter().filter_map(|command| command.path.get(2).copied()).collect();
        return Error::new(format!("'{given}' takes one of {}", thirds.join(", ")));
    }
    if group.is_empty() {
        return match nearest(&given, first) {
            Some(command) => Error::new(format!("no command '{first}': did you mean '{command}'?")),
            None => Error::new(format!("no command '{first}': 'help' lists all")),
        };
    }
    let mut seconds: Vec<&str> =
        group.iter().filter_map(|command| command.path.get(1).copied()).collect();
    seconds.dedup();
    match (words.get(1), nearest(&given, "")) {
        (Some(_), Some(command)) => {
            Error::new(format!("no command '{given}': did you mean '{command}'?"))
        }
        (Some(_), None) => Error::new(format!(
            "no command '{given}': '{first}' takes one of {}",
            seconds.join(", ")
        )),
        (None, _) => Error::new(format!("'{first}' takes one of {}", seconds.join(", "))),
    }
}

fn begins_with(words: &[String], path: &[&str]) -> bool {
    words.len() >= path.len() && words.iter().zip(path).all(|(have, want)| have == want)
}

/// The command or group whose name is close to one of these.
fn nearest(given: &str, first: &str) -> Option<String> {
    let names = commands::all().map(Command::name);
    let groups =
        commands::all().filter_map(|command| command.path.first()).map(|&group| group.into());
    names
        .chain(groups)
        .filter_map(|name| {
            // `start` for `vm start` is no slip, but clear enough.
            let is_tail = !first.is_empty() && name.split(' ').next_back() == Some(first);
            let near = slip::distance(&name, given).into_iter().chain(slip::distance(&name, first));
            let least = if is_tail { Some(1) } else { near.min() };
            least.filter(|&least| least < name.len()).map(|least| (least, name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(Into::into).collect();
        assert!(find(&words).is_none());
        unknown(&words).to_string()
    }

    #[test]
    fn a_slip_of_the_finger_is_recognized() {
        assert_eq!(error("vm crate linux"), "no command 'vm crate': did you mean 'vm create'?");
        assert_eq!(error("hlep"), "no command 'hlep': did you mean 'help'?");
        assert_eq!(error("vn list"), "no command 'vn': did you mean 'vm list'?");
        assert_eq!(error("start 1"), "no command 'start': did you mean 'vm start'?");
        assert_eq!(error("frobnicate"), "no command 'frobnicate': 'help' lists all");
    }

    #[test]
    fn a_group_lists_its_commands() {
        assert_eq!(error("config"), "'config' takes one of list, show, check");
        assert_eq!(
            error("config frobnicate"),
            "no command 'config frobnicate': 'config' takes one of list, show, check"
        );
    }

    #[test]
    fn a_group_within_a_group_lists_its_commands() {
        assert_eq!(error("vm disk"), "'vm disk' takes one of list, attach, detach");
        assert_eq!(error("vm disk frobnicate"), "'vm disk' takes one of list, attach, detach");
    }

    #[test]
    fn no_two_commands_have_the_same_name() {
        let mut names: Vec<String> = commands::all().map(Command::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
