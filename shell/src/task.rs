//! Commands that take time: each is polled until it is done.

pub(crate) mod attach;
pub(crate) mod console_log;
pub(crate) mod end;
pub(crate) mod expect;
pub(crate) mod jobs;
pub(crate) mod log;
pub(crate) mod passwd;
pub(crate) mod ping;
pub(crate) mod send;
pub(crate) mod sleep;
pub(crate) mod wait;

use crate::context::Context;
use crate::error::Error;
use crate::session::input::INTERRUPT;
use core::time::Duration;

/// What a poll of a task has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// It did something, and could do more at once.
    More,
    /// It waits for its host, for time to pass or for room in its output.
    Waiting,
    /// It is done.
    Done,
}

/// Who reads what the user types while a task runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    /// The session: it keeps everything for later, and looks for Ctrl-C.
    Session,
    /// The task: every byte.
    Task,
}

/// What a task that waits is waiting for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Awaits {
    /// Time, or room for output: nothing that the host does matters.
    Nothing,
    /// A change of the host: console output, a job's progress, a VM's state.
    Host,
}

/// A command that is not done yet.
pub(crate) trait Task: Send {
    /// Does a bounded amount of work.
    ///
    /// # Errors
    ///
    /// The command failed. The task is dropped.
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error>;

    /// The user has pressed Ctrl-C, or the session is closed: gives up. The task is dropped.
    fn interrupt(&mut self, context: &mut Context<'_>) {
        _ = context;
    }

    /// When to poll, if nothing happens before.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn reader(&self) -> Reader {
        Reader::Session
    }

    /// The key that gives the task up, if there is one, and so gets through when there is no room for others.
    fn urgent_key(&self) -> Option<u8> {
        Some(INTERRUPT)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Host
    }
}
