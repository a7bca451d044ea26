//! A command's words, checked against its entry in the table.

use crate::command::{Command, Count, Kind, Switch};
use crate::error::Error;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// How a listing answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// A table for people.
    Text,
    /// One JSON document on one line.
    Json,
}

/// The words after a command's name.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    words: Vec<String>,
    options: Vec<(&'static str, String)>,
}

impl Arguments {
    /// Sorts words into arguments and options.
    ///
    /// # Errors
    ///
    /// There are too few or too many of them, or an option that the command does not have.
    pub(crate) fn parse(command: &'static Command, words: &[String]) -> Result<Self, Error> {
        let mut arguments = Self::default();
        let mut rest = words.iter();
        let mut takes_options = true;
        while let Some(word) = rest.next() {
            if word == "--" && takes_options {
                takes_options = false;
                continue;
            }
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            if takes_options && let Some(option) = command.switch(name) {
                let value = option_value(command, option, value, &mut rest)?;
                arguments.options.push((option.name, value));
            } else if takes_options
                && word.starts_with("--")
                && !is_text(command, arguments.words.len())
            {
                return Err(unknown_option(command, name));
            } else {
                arguments.words.push(word.clone());
            }
        }
        arguments.check_count(command)?;
        Ok(arguments)
    }

    /// The argument at a place, from 0.
    pub(crate) fn word(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(String::as_str)
    }

    /// An argument that [`Arguments::parse`] has seen to be there.
    pub(crate) fn required(&self, index: usize) -> Result<&str, Error> {
        self.word(index).ok_or_else(|| Error::new("an argument is missing"))
    }

    /// The arguments from a place on.
    pub(crate) fn words(&self, from: usize) -> &[String] {
        self.words.get(from..).unwrap_or_default()
    }

    /// The value of an option, if it was given; the last one counts.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// As if this option without a value had been given.
    pub(crate) fn imply(&mut self, option: &'static Switch) {
        self.options.push((option.name, String::new()));
    }

    /// The options that were given, and their values.
    pub(crate) fn options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.options.iter().map(|(name, value)| (*name, value.as_str()))
    }

    pub(crate) fn format(&self) -> Format {
        if self.option("--json").is_some() { Format::Json } else { Format::Text }
    }

    fn check_count(&self, command: &'static Command) -> Result<(), Error> {
        let required = command
            .parameters
            .iter()
            .filter(|parameter| matches!(parameter.count, Count::One | Count::Many))
            .count();
        let is_open = command
            .parameters
            .iter()
            .any(|parameter| matches!(parameter.count, Count::Many | Count::Any));
        if self.words.len() < required {
            let missing = command.parameters.get(self.words.len());
            let missing = missing.map_or("an argument", |parameter| parameter.name);
            return Err(Error::new(format!("{missing} is missing: {}", command.usage())));
        }
        match self.words.get(command.parameters.len()) {
            Some(word) if !is_open => {
                Err(Error::new(format!("'{word}' is one too many: {}", command.usage())))
            }
            _ => Ok(()),
        }
    }
}

fn is_text(command: &Command, index: usize) -> bool {
    command.parameter(index).is_some_and(|parameter| matches!(parameter.kind, Kind::Text))
}

fn option_value<'a>(
    command: &Command,
    option: &Switch,
    attached: Option<&str>,
    rest: &mut impl Iterator<Item = &'a String>,
) -> Result<String, Error> {
    match (option.value, attached) {
        (None, None) => Ok(String::new()),
        (None, Some(_)) => {
            Err(Error::new(format!("{} takes no value: {}", option.name, command.usage())))
        }
        (Some(_), Some(value)) => Ok(value.into()),
        (Some((value, _)), None) => rest.next().cloned().ok_or_else(|| {
            Error::new(format!("{value} is missing after {}: {}", option.name, command.usage()))
        }),
    }
}

fn unknown_option(command: &Command, name: &str) -> Error {
    let known: Vec<String> = command.options.iter().map(Switch::usage).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    Error::new(format!("'{}' has no option {name}; it has {known}", command.name()))
}
