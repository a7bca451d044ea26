//! VM consoles, as the shell reads and writes them.

use crate::session::SessionId;

/// A place in everything that a VM's console ever printed, in bytes from its creation.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The oldest byte that is still kept, whatever its number.
    pub const OLDEST: Self = Self(0);
}

/// What a session wants of a console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attendance {
    /// To see what it prints.
    Watch,
    /// To type as well, if nobody else does.
    Type,
    /// To type instead of whoever does.
    Take,
}

/// What a session learns when it attaches to a console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsoleInfo {
    /// The end of the console's output at this moment: what is before it is a replay.
    pub end: Cursor,
    /// Who has the keyboard.
    pub holder: Option<SessionId>,
}

/// What one read of a console gave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConsoleRead {
    /// Bytes copied. Zero means that there is nothing more at the moment.
    pub bytes: usize,
    /// Bytes that were overwritten before they could be read.
    pub lost: u64,
}
