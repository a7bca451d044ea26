//! `passwd`: asks for passwords without showing them, and has one changed.

use super::{Progress, Reader, Task};
use crate::context::Context;
use crate::error::Error;
use crate::host::{JobStatus, PasswordChange};
use crate::output::Column;
use crate::session::TerminalKind;
use crate::session::input::INTERRUPT;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

/// The fewest bytes of a new password.
const SHORTEST: usize = 8;
/// The most bytes of a password: what a login takes.
const LONGEST: usize = 128;
/// How often it is looked whether the password is changed.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes that do not stay in memory.
#[derive(Default)]
struct Secret(Vec<u8>);

impl Secret {
    /// An empty one, which never moves while it grows.
    fn new() -> Self {
        Self(Vec::with_capacity(LONGEST))
    }

    fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the zeroes are written though nobody reads them.
        core::hint::black_box(&self.0);
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Question {
    Old,
    New,
    Again,
}

impl Question {
    fn text(self) -> &'static str {
        match self {
            Self::Old => "old password: ",
            Self::New => "new password: ",
            Self::Again => "again: ",
        }
    }
}

/// Asks, and waits for the change.
pub(crate) struct Passwd {
    user: String,
    /// `None` when all is asked.
    question: Option<Question>,
    line: Secret,
    is_too_long: bool,
    old: Option<Secret>,
    new: Secret,
    look_at: Option<Duration>,
}

impl Passwd {
    /// Asks the first question.
    pub(crate) fn begin(context: &mut Context<'_>, user: String) -> Result<Self, Error> {
        let question = if user == context.user.name { Question::Old } else { Question::New };
        writeln!(context.out, "changing the password of {user}; Ctrl-C leaves it as it is")?;
        if context.terminal == TerminalKind::Lines {
            writeln!(context.out, "your terminal may show what you type")?;
        }
        write!(context.out, "{}", question.text())?;
        let line = Secret::new();
        let new = Secret::default();
        Ok(Self {
            user,
            question: Some(question),
            line,
            is_too_long: false,
            old: None,
            new,
            look_at: None,
        })
    }

    /// Takes keys until one ends the line.
    fn read(&mut self, context: &mut Context<'_>) -> Result<Option<Secret>, Error> {
        const BACKSPACE: u8 = 8;
        const CONTROL_U: u8 = 21;
        const DELETE: u8 = 127;
        while let Some(byte) = context.input.pop() {
            match byte {
                b'\r' | b'\n' => {
                    end_line(context)?;
                    if core::mem::take(&mut self.is_too_long) {
                        return Err(Error::new(format!("{LONGEST} bytes are the most")));
                    }
                    return Ok(Some(core::mem::replace(&mut self.line, Secret::new())));
                }
                INTERRUPT => {
                    writeln!(context.out)?;
                    return Err(Error::new("the password stays as it is"));
                }
                BACKSPACE | DELETE => _ = self.line.0.pop(),
                CONTROL_U => self.line.0.clear(),
                // Nothing that a terminal obeys: nobody could type it at a login.
                0..=31 => {}
                _ if self.line.0.len() < LONGEST => self.line.0.push(byte),
                _ => self.is_too_long = true,
            }
        }
        Ok(None)
    }

    fn answer(&mut self, context: &mut Context<'_>, answer: Secret) -> Result<(), Error> {
        let next = match self.question {
            Some(Question::Old) => {
                self.old = Some(answer);
                Question::New
            }
            Some(Question::New) if answer.0.len() < SHORTEST => {
                return Err(Error::new(format!(
                    "a password has at least {SHORTEST} bytes; it stays as it is"
                )));
            }
            Some(Question::New) => {
                self.new = answer;
                Question::Again
            }
            Some(Question::Again) if answer.0 != self.new.0 => {
                return Err(Error::new("the two are not the same; the password stays as it is"));
            }
            Some(Question::Again) | None => {
                self.question = None;
                let change = PasswordChange {
                    user: core::mem::take(&mut self.user),
                    old: self.old.as_mut().map(Secret::take),
                    new: self.new.take(),
                };
                return context.host.registry_mut().password_change(context.session, change);
            }
        };
        self.question = Some(next);
        write!(context.out, "{}", next.text())?;
        Ok(())
    }
}

/// The Enter key is shown, unless the other end did.
fn end_line(context: &mut Context<'_>) -> Result<(), Error> {
    if context.terminal == TerminalKind::Lines {
        context.out.control(b"", Column::First);
    } else {
        writeln!(context.out)?;
    }
    Ok(())
}

impl Task for Passwd {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        if self.question.is_some() {
            return match self.read(context)? {
                Some(answer) => self.answer(context, answer).map(|()| Progress::More),
                None => Ok(Progress::Waiting),
            };
        }
        if context.input.take_interrupt() {
            context.host.registry_mut().password_cancel(context.session);
            return Err(Error::new("the password stays as it is"));
        }
        match context.host.registry_mut().password_status(context.session) {
            JobStatus::Running { .. } => {
                self.look_at = Some(context.now.saturating_add(LOOK));
                Ok(Progress::Waiting)
            }
            JobStatus::Done(result) => {
                writeln!(context.out, "{}", result?)?;
                Ok(Progress::Done)
            }
        }
    }

    fn interrupt(&mut self, context: &mut Context<'_>) {
        context.host.registry_mut().password_cancel(context.session);
    }

    fn deadline(&self) -> Option<Duration> {
        self.look_at
    }

    fn reader(&self) -> Reader {
        Reader::Task
    }
}
