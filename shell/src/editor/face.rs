//! How a line is shown: by noline on a terminal, or by echo on anything else.

use super::PROMPT;
use super::line::Line;
use super::wire::{LEAST_COLUMNS, Noline, Outcome};
use crate::output::{Column, Output};
use alloc::format;

// noline's keys.
const START: u8 = 0x01;
const LEFT: u8 = 0x02;
const DELETE: u8 = 0x04;
const END: u8 = 0x05;
const RIGHT: u8 = 0x06;
const KILL_TO_END: u8 = 0x0b;
const BACKSPACE: u8 = 0x7f;
const ABORT: u8 = 0x03;
const ENTER: u8 = b'\r';

/// What shows the line. It is told each change that is made to it.
pub(super) enum Face {
    /// It is not known yet what the terminal is.
    Unknown,
    /// Lines of text, with the cursor at the end.
    Plain,
    /// Whole lines, which the other end has shown already.
    Lines,
    /// A VT100.
    Terminal(Noline),
}

impl Face {
    /// What suits a terminal that answers, of this width.
    pub(super) fn of_width(columns: usize) -> Self {
        if columns >= LEAST_COLUMNS { Self::Terminal(Noline::new()) } else { Self::Plain }
    }

    /// Whether the cursor can be elsewhere than at the end of the line.
    pub(super) fn has_cursor(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Whether a character can be shown. noline counts on each taking one column.
    pub(super) fn can_show(&self, c: char) -> bool {
        !self.has_cursor() || is_narrow(c)
    }

    /// Shows the prompt and the line, at the beginning of a line of the screen.
    pub(super) fn show(&mut self, line: &Line, columns: usize, out: &mut Output) {
        match self {
            Self::Terminal(noline) => {
                noline.begin(columns);
                noline.send(line.text().bytes());
                noline.send(line.after_cursor().chars().map(|_| LEFT));
                noline.run(out);
            }
            Self::Plain | Self::Lines | Self::Unknown => {
                out.raw(PROMPT.as_bytes());
                out.raw(line.text().as_bytes());
            }
        }
    }

    /// Takes the prompt and the line away.
    pub(super) fn hide(&mut self, out: &mut Output) {
        if let Self::Terminal(noline) = self {
            let row = noline.row();
            noline.abandon();
            if row > 0 {
                out.control(format!("\x1b[{row}A").as_bytes(), Column::Kept);
            }
            out.control(b"\r\x1b[J", Column::First);
        }
        out.fresh_line();
    }

    /// Leaves the prompt and the line where they are, and goes below them.
    pub(super) fn leave(&mut self, out: &mut Output) {
        if let Self::Terminal(noline) = self {
            noline.send([END]);
            noline.run(out);
            noline.abandon();
        }
        out.fresh_line();
    }

    /// Forgets what is shown, because the screen is erased.
    pub(super) fn forget(&mut self) {
        if let Self::Terminal(noline) = self {
            noline.abandon();
        }
    }

    /// Whether changes are yet to be shown, after showing some.
    pub(super) fn is_behind(&mut self, out: &mut Output) -> bool {
        let Self::Terminal(noline) = self else { return false };
        if noline.is_busy() {
            noline.run(out);
        }
        noline.is_busy()
    }

    /// A character was inserted.
    pub(super) fn insert(&mut self, c: char, out: &mut Output) {
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).as_bytes();
        match self {
            Self::Terminal(noline) => noline.send(bytes.iter().copied()),
            Self::Plain | Self::Unknown => out.raw(bytes),
            Self::Lines => {}
        }
    }

    /// Characters before the cursor were deleted.
    pub(super) fn backspace(&mut self, count: usize, out: &mut Output) {
        for _ in 0..count {
            match self {
                Self::Terminal(noline) => noline.send([BACKSPACE]),
                Self::Plain | Self::Unknown => out.raw(b"\x08 \x08"),
                Self::Lines => {}
            }
        }
    }

    /// The character at the cursor was deleted.
    pub(super) fn delete(&mut self) {
        self.send([DELETE]);
    }

    /// Everything from the cursor on was deleted.
    pub(super) fn kill_to_end(&mut self) {
        self.send([KILL_TO_END]);
    }

    /// The cursor has moved back. To the beginning of the line, it jumps.
    pub(super) fn left(&mut self, count: usize, line: &Line) {
        if line.before_cursor().is_empty() {
            self.send([START]);
        } else {
            self.send((0..count).map(|_| LEFT));
        }
    }

    /// The cursor has moved on. To the end of the line, it jumps.
    pub(super) fn right(&mut self, count: usize, line: &Line) {
        if line.after_cursor().is_empty() {
            self.send([END]);
        } else {
            self.send((0..count).map(|_| RIGHT));
        }
    }

    /// The line is complete. Answers as [`Face::outcome`] does.
    pub(super) fn enter(&mut self, line: &mut Line, out: &mut Output) -> Option<Outcome> {
        match self {
            Self::Terminal(noline) => {
                noline.send([END, ENTER]);
                self.outcome(out)
            }
            Self::Plain | Self::Unknown => {
                out.raw(b"\r\n");
                Some(Outcome::Line(line.take()))
            }
            Self::Lines => {
                out.control(b"", Column::First);
                Some(Outcome::Line(line.take()))
            }
        }
    }

    /// The line is given up. Answers as [`Face::outcome`] does.
    pub(super) fn abort(&mut self, out: &mut Output) -> Option<Outcome> {
        match self {
            Self::Terminal(noline) => {
                noline.send([END]);
                noline.run(out);
                out.raw(b"^C");
                noline.send([ABORT]);
                self.outcome(out)
            }
            Self::Plain | Self::Lines | Self::Unknown => {
                out.raw(b"^C\r\n");
                Some(Outcome::Aborted)
            }
        }
    }

    /// How the line ended, once all of it is shown. `out` may have to be drained before.
    pub(super) fn outcome(&mut self, out: &mut Output) -> Option<Outcome> {
        match self {
            Self::Terminal(noline) => noline.run(out),
            Self::Plain | Self::Lines | Self::Unknown => Some(Outcome::Aborted),
        }
    }

    fn send(&mut self, keys: impl IntoIterator<Item = u8>) {
        if let Self::Terminal(noline) = self {
            noline.send(keys);
        }
    }
}

/// Whether a character takes one column; those that do not can be typed to guests as `\xNN`.
fn is_narrow(c: char) -> bool {
    matches!(c,
        ' '..='~'
        | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}'
        | '\u{370}'..='\u{377}' | '\u{37a}'..='\u{37f}' | '\u{384}'..='\u{482}' | '\u{48a}'..='\u{52f}'
        | '\u{2010}'..='\u{2027}' | '€')
}
