//! What is wrong with a configuration, and where.

use super::key::{self, Key};
use super::suggestion;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// An error in a configuration: `linux.toml:2: vcpus: found 99, allowed 1 to 8`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    file: String,
    line: u32,
    key: String,
    problem: String,
}

impl ConfigError {
    /// An error at `line`, counted from 1, of `file`; an empty file, line 0 or an empty key are
    /// not shown.
    pub(crate) fn new(file: &str, line: u32, key: &str, problem: String) -> Self {
        Self { file: file.to_owned(), line, key: key.to_owned(), problem }
    }

    /// An error about a key that `section` does not have.
    pub(super) fn unknown_key(file: &str, line: u32, section: &str, name: &str) -> Self {
        let mut allowed: Vec<&str> = Key::names_in(section).collect();
        if section.is_empty() {
            allowed.extend(key::SECTIONS);
        }
        let path =
            if section.is_empty() { shown(name) } else { format!("{section}.{}", shown(name)) };
        Self { file: file.to_owned(), line, key: path, problem: unknown(name, &allowed) }
    }

    /// An error about a key on a command line.
    pub(super) fn unknown_override(name: &str) -> Self {
        let allowed: Vec<&str> = key::SHORT.into_iter().map(Key::name).collect();
        let problem = unknown(name, &allowed) + ", and paths such as restart.on";
        Self { file: String::new(), line: 0, key: shown(name), problem }
    }

    /// The line in which the error is, counted from 1, if it is in one.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        (self.line != 0).then_some(self.line)
    }

    /// The key that is wrong, such as `boot.kernel`; empty if it is the text itself.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, 0) => write!(f, "{file}: ")?,
            (file, line) => write!(f, "{file}:{line}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)
    }
}

impl core::error::Error for ConfigError {}

/// What is said about a key that there is not.
pub(crate) fn unknown(name: &str, allowed: &[&str]) -> String {
    let meant = match suggestion::nearest(name, allowed.iter().copied()) {
        Some(near) => format!("did you mean '{near}'? "),
        None => String::new(),
    };
    format!("unknown key; {meant}allowed: {}", allowed.join(", "))
}

/// Text from a file, as it may be shown on a terminal: no control characters, and not too long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown += "...";
    }
    shown
}
