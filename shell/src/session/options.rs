//! What is known about a connection in advance.

use crate::access::User;
use core::fmt;
use serde::Serialize;

/// Names one session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct SessionId(pub u32);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is at the other end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TerminalKind {
    /// It is asked, and has 200 ms to answer before it is taken to be [`TerminalKind::Plain`].
    #[default]
    Probe,
    /// Something that is written to line by line: a pipe, a test.
    Plain,
    /// The same, which shows itself what is typed: `nc`.
    Lines,
    /// A program, which runs one command at a time by [`Session::execute`](super::Session::execute).
    Program,
    /// A VT100, or what pretends to be one, of this width in characters.
    Vt100 {
        /// Its width in characters.
        columns: u16,
    },
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lifetime {
    /// As long as the machine is on: there is nobody to log in again.
    #[default]
    Machine,
    /// Until its user logs out.
    Login,
    /// Until its script is done. Nothing that is typed is taken for a command.
    Script,
}

/// What is known about a connection in advance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// What is at the other end.
    pub terminal: TerminalKind,
    /// Who is there.
    pub user: User,
    /// How long the session lasts.
    pub lifetime: Lifetime,
}

impl Options {
    /// A session of whoever is at the serial port.
    #[must_use]
    pub fn local(terminal: TerminalKind) -> Self {
        Self { terminal, user: User::local(), lifetime: Lifetime::Machine }
    }
}
