//! How large a terminal is.

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl TerminalSize {
    /// Asks for it: saves the cursor, goes as far as there is a screen, asks where that is, and goes back (VT100 DECSC, CUP,
    /// DSR, DECRC).
    pub(crate) const QUERY: &[u8] = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";

    /// The size of a terminal whose last character is in this row and column; `None` if it says that it has none.
    pub(crate) fn of_corner(row: usize, column: usize) -> Option<Self> {
        let size = Self { columns: u16::try_from(column).ok()?, rows: u16::try_from(row).ok()? };
        (row > 0 && column > 0).then_some(size)
    }
}
