//! A program at the other end: one command at a time, and what came of it.
//!
//! ```text
//!    execute ─▶ Running ─ done, failed, too long ─▶ Told ─ take_outcome ─▶ Idle
//!                  │                                                        ▲
//!                  └─ `vm console` ─▶ Attached: bytes both ways ─ its end ──┘
//! ```

use crate::arguments::Format;
use crate::error::Error;
use crate::output::Output;
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The longest answer, in bytes. What is longer is an error, since half a document is none.
pub const LONGEST_ANSWER: usize = 128 << 10;

/// How a program wants listings to be answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Listings {
    /// As documents, as if each had `--json`.
    #[default]
    Json,
    /// As tables, unless there is a `--json`.
    Text,
}

/// What came of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// This document.
    Json(String),
    /// It was done, and said this; lines end in LF, but for the last.
    Text(String),
    /// The session is attached to a console, about which this document tells: what it has to say now are the console's bytes, and
    /// what it is given is typed there, until [`Session::is_attached`](super::Session::is_attached) says otherwise.
    Attached(String),
    /// It failed.
    Failed(Error),
}

/// Where a command is.
enum Stage {
    Idle,
    Running,
    Attached,
}

/// Commands of a program.
pub(crate) struct Exchange {
    stage: Stage,
    outcome: Option<Outcome>,
    listings: Listings,
    /// How the command answers.
    format: Format,
    answer: Vec<u8>,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Idle,
            outcome: None,
            listings: Listings::default(),
            format: Format::Text,
            answer: Vec::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle) && self.outcome.is_none()
    }

    pub(super) fn has_outcome(&self) -> bool {
        self.outcome.is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    pub(super) fn is_attached(&self) -> bool {
        matches!(self.stage, Stage::Attached)
    }

    pub(super) fn begin(&mut self, listings: Listings) {
        self.stage = Stage::Running;
        self.listings = listings;
        self.format = Format::Text;
    }

    /// How listings are wanted.
    pub(crate) fn listings(&self) -> Listings {
        self.listings
    }

    /// The command that runs answers so.
    pub(crate) fn answers(&mut self, format: Format) {
        self.format = format;
    }

    /// The command that runs has attached the session to a console.
    pub(crate) fn attach(&mut self, document: String) {
        self.stage = Stage::Attached;
        self.outcome = Some(Outcome::Attached(document));
    }

    /// Takes what the command has said. Whether it may say more.
    pub(super) fn collect(&mut self, out: &mut Output) -> bool {
        let room = LONGEST_ANSWER.saturating_sub(self.answer.len());
        let fits = out.len() <= room;
        if fits {
            out.take_all(&mut self.answer);
        } else {
            out.clear();
        }
        fits
    }

    /// The command is done.
    pub(super) fn finish(&mut self) {
        // A console's end has no outcome of its own.
        let answer = core::mem::take(&mut self.answer);
        if matches!(core::mem::replace(&mut self.stage, Stage::Idle), Stage::Running) {
            let text = String::from_utf8_lossy(&answer).replace("\r\n", "\n");
            let text = text.strip_suffix('\n').unwrap_or(&text);
            self.outcome = Some(match self.format {
                Format::Json => Outcome::Json(text.into()),
                Format::Text => Outcome::Text(text.into()),
            });
        }
    }

    /// The command has failed.
    pub(super) fn fail(&mut self, error: Error) {
        self.stage = Stage::Idle;
        self.answer = Vec::new();
        self.outcome = Some(Outcome::Failed(error));
    }

    pub(super) fn take_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }
}

/// Why an answer is none.
pub(super) fn too_long() -> Error {
    Error::new(format!(
        "the answer is longer than {LONGEST_ANSWER} bytes: ask for less, such as with --lines"
    ))
}

/// The only command of a line.
///
/// # Errors
///
/// A quote is not closed, or there is another command.
pub(super) fn only_command(line: &str) -> Result<&str, Error> {
    let mut only = "";
    let mut rest = line;
    while let Some(next) = words::next_command(rest) {
        let (command, after) = next?;
        rest = after;
        if !only.is_empty() && !command.is_empty() {
            return Err(Error::new(
                "there is more than one command on the line: a program sends one a line",
            ));
        }
        only = if only.is_empty() { command } else { only };
    }
    Ok(only)
}

#[cfg(test)]
mod tests;
