//! VM consoles, as the shell reads and writes them.

/// A place in everything that a VM's console ever printed, in bytes from its creation.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The oldest byte that is still kept, whatever its number.
    pub const OLDEST: Self = Self(0);
}

/// Who types on a console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keyboard {
    /// This session.
    Yours,
    /// Another one.
    Taken,
}

/// What a session learns when it attaches to a console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsoleInfo {
    /// The end of the console's output at this moment: what is before it is a replay.
    pub end: Cursor,
    /// Who types.
    pub keyboard: Keyboard,
}

/// What one read of a console gave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ConsoleRead {
    /// Bytes copied. Zero means that there is nothing more at the moment.
    pub bytes: usize,
    /// Bytes that were overwritten before they could be read.
    pub lost: u64,
}
