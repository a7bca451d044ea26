//! What is known about a connection in advance.

use core::fmt;

/// Names one session.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
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
    /// A program, which runs one command at a time by [`Session::execute`](super::Session::execute).
    Program,
    /// A VT100, or what pretends to be one, of this width in characters.
    Vt100 {
        /// Its width in characters.
        columns: u16,
    },
}

/// What is known about a connection in advance.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// What is at the other end.
    pub terminal: TerminalKind,
}
