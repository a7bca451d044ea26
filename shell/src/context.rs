//! What a command may touch while it runs.

use crate::access::User;
use crate::escape_key::EscapeKey;
use crate::history::History;
use crate::host::{Cursor, Host, VmId};
use crate::output::Output;
use crate::program::Policy;
use crate::session::exchange::Exchange;
use crate::session::input::Input;
use crate::session::{Lifetime, SessionId, TerminalKind};
use crate::terminal_size::TerminalSize;
use alloc::vec::Vec;
use core::time::Duration;

/// Consoles whose place `vm expect` remembers.
const PLACES: usize = 16;

/// Whether a long operation shows how far it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProgressLine {
    /// On one line that is rewritten: a user watches.
    Rewritten,
    /// Not at all: a script or a pipe.
    Silent,
}

/// What the terminal understands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Display {
    /// Lines of text.
    Plain,
    /// Nothing: what is said is an answer for a program.
    Program,
    /// A VT100's control sequences.
    Terminal,
}

/// What a user may change for the session.
pub(crate) struct Settings {
    /// The key that leaves a VM's console.
    pub(crate) escape: EscapeKey,
}

/// How far `vm expect` has read each console, so that it looks at no output twice.
#[derive(Default)]
pub(crate) struct Places(Vec<(VmId, Cursor)>);

impl Places {
    pub(crate) fn get(&self, vm: VmId) -> Cursor {
        self.0.iter().find(|(id, _)| *id == vm).map_or(Cursor::OLDEST, |&(_, cursor)| cursor)
    }

    pub(crate) fn set(&mut self, vm: VmId, cursor: Cursor) {
        self.0.retain(|(id, _)| *id != vm);
        if self.0.len() >= PLACES {
            self.0.remove(0);
        }
        self.0.push((vm, cursor));
    }
}

/// The session and the world, as a command sees them.
pub(crate) struct Context<'a> {
    pub(crate) host: &'a mut dyn Host,
    pub(crate) out: &'a mut Output,
    pub(crate) input: &'a mut Input,
    /// Time since power-on.
    pub(crate) now: Duration,
    pub(crate) session: SessionId,
    pub(crate) user: &'a User,
    pub(crate) lifetime: Lifetime,
    pub(crate) settings: &'a mut Settings,
    pub(crate) places: &'a mut Places,
    pub(crate) history: &'a History,
    /// What the session was told of its terminal.
    pub(crate) terminal: TerminalKind,
    pub(crate) display: Display,
    /// How large the terminal is, if it has said so.
    pub(crate) size: Option<TerminalSize>,
    pub(crate) progress_line: ProgressLine,
    /// What an error does in the script that runs; `None` when a user types.
    pub(crate) policy: Option<&'a mut Policy>,
    /// If the command is a program's.
    pub(crate) exchange: Option<&'a mut Exchange>,
}
