//! What a session has to say, until its connection takes it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

/// Bytes above which nothing more is produced. One command's answer may exceed it; what can be
/// long without bound (consoles, logs) is produced in pieces that fit.
const FULL: usize = 2048;

/// Where a control sequence leaves the cursor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Column {
    /// Where it was.
    Kept,
    /// In the first column.
    First,
}

/// A queue of bytes to a user's terminal.
#[derive(Default)]
pub(crate) struct Output {
    queue: VecDeque<u8>,
    /// The cursor is not in the first column.
    is_mid_line: bool,
}

impl Output {
    /// How many bytes may be produced now.
    pub(crate) fn room(&self) -> usize {
        FULL.saturating_sub(self.queue.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.room() == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Appends bytes as they are: a guest's, or a terminal's control sequences.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.queue.extend(bytes);
        if let Some(&last) = bytes.last() {
            self.is_mid_line = last != b'\n';
        }
    }

    /// Appends control sequences.
    pub(crate) fn control(&mut self, bytes: &[u8], column: Column) {
        self.queue.extend(bytes);
        self.is_mid_line &= column == Column::Kept;
    }

    /// Goes to the beginning of a line, if the cursor is not there.
    pub(crate) fn fresh_line(&mut self) {
        if self.is_mid_line {
            self.raw(b"\r\n");
        }
    }

    /// Moves everything behind what is in `to`.
    pub(crate) fn take_all(&mut self, to: &mut Vec<u8>) {
        to.extend(self.queue.drain(..));
        self.queue.shrink_to(FULL);
    }

    /// Forgets what was said.
    pub(crate) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.is_mid_line = false;
    }

    /// Moves up to `buf.len()` bytes to the terminal's side.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> usize {
        let taken = self.queue.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(self.queue.drain(..taken)) {
            *to = from;
        }
        if self.queue.is_empty() {
            // One long answer must not keep its memory for the life of the session.
            self.queue.shrink_to(FULL);
        }
        taken
    }
}

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.raw(b"\r\n");
            }
            self.raw(line.as_bytes());
        }
        Ok(())
    }
}
