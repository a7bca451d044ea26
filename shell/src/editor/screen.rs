//! Turns noline's absolute cursor positions into relative ones.
//!
//! noline puts the cursor at absolute places, for which it must know the row of the prompt; it
//! believes any answer to its question, and overflows on wrong ones. So it is told that the
//! prompt is in the first row of a terminal with more rows than a line can fill, and what it
//! writes is translated here: positions become motions from where the cursor is, and motions to
//! where the cursor is already vanish. Nothing that a terminal claims reaches it, and a typed
//! character costs one byte of output instead of nine.

use alloc::format;
use alloc::vec::Vec;

/// The longest parameters of a control sequence that noline writes, with room to spare.
const LONGEST: usize = 16;

/// A question that noline asks its terminal: where is the cursor (ECMA-48 DSR)?
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Question;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Ground,
    Escape,
    Control,
}

/// The cursor, relative to the beginning of the prompt, and the translated output.
pub(super) struct Screen {
    state: State,
    parameters: [u8; LONGEST],
    parameters_len: usize,
    row: usize,
    column: usize,
    columns: usize,
    /// Between ESC 7 and ESC 8, noline looks for the screen's edge: it stays where it is.
    is_probing: bool,
    pub(super) out: Vec<u8>,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            state: State::Ground,
            parameters: [0; LONGEST],
            parameters_len: 0,
            row: 0,
            column: 0,
            columns: 80,
            is_probing: false,
            out: Vec::new(),
        }
    }

    /// A prompt begins here, on a terminal of this width.
    pub(super) fn begin(&mut self, columns: usize) {
        self.columns = columns;
        self.row = 0;
        self.column = 0;
        self.is_probing = false;
        self.state = State::Ground;
    }

    /// How many rows the cursor is below the prompt.
    pub(super) fn row(&self) -> usize {
        self.row
    }

    /// Translates one byte of noline's. Questions are answered by the caller.
    pub(super) fn write(&mut self, byte: u8) -> Option<Question> {
        match (self.state, byte) {
            (_, 0x1b) => self.state = State::Escape,
            (State::Escape, b'[') => {
                self.state = State::Control;
                self.parameters_len = 0;
            }
            (State::Escape, _) => {
                self.state = State::Ground;
                self.is_probing = byte == b'7';
            }
            (State::Control, 0x40..=0x7e) => {
                self.state = State::Ground;
                return self.sequence(byte);
            }
            (State::Control, _) => {
                if let Some(slot) = self.parameters.get_mut(self.parameters_len) {
                    *slot = byte;
                    self.parameters_len += 1;
                }
            }
            (State::Ground, _) => self.text(byte),
        }
        None
    }

    fn text(&mut self, byte: u8) {
        match byte {
            // noline ends lines the other way round, LF CR.
            b'\n' => {
                self.row += 1;
                self.column = 0;
                self.out.extend_from_slice(b"\r\n");
                return;
            }
            b'\r' if self.column == 0 => return,
            b'\r' => self.column = 0,
            0..=0x1f => {}
            // The second to fourth byte of a character.
            0x80..=0xbf => {}
            _ => self.column += 1,
        }
        self.out.push(byte);
    }

    fn sequence(&mut self, last: u8) -> Option<Question> {
        match last {
            b'n' => return Some(Question),
            b'H' if !self.is_probing => {
                let (row, column) = self.position();
                self.move_to(row, column);
            }
            // Erasing is relative to the cursor already.
            b'J' => self.out.extend_from_slice(b"\x1b[J"),
            // noline scrolls only when it runs out of rows.
            _ => {}
        }
        None
    }

    /// The parameters as a row and a column from 0.
    fn position(&self) -> (usize, usize) {
        let mut numbers = self
            .parameters
            .get(..self.parameters_len)
            .unwrap_or_default()
            .split(|&byte| byte == b';');
        let mut next = || {
            let digits = numbers.next().unwrap_or_default();
            let number = digits.iter().fold(0_usize, |number, digit| {
                number.saturating_mul(10).saturating_add(usize::from(digit.wrapping_sub(b'0')))
            });
            number.saturating_sub(1)
        };
        (next(), next())
    }

    fn move_to(&mut self, row: usize, column: usize) {
        if row < self.row {
            self.motion(self.row - row, 'A');
        } else if row > self.row {
            self.motion(row - self.row, 'B');
        }
        // After a character in the last column, terminals differ in where the cursor is.
        let is_at_edge = self.column >= self.columns;
        if column != self.column || is_at_edge {
            if column == 0 || is_at_edge {
                self.out.push(b'\r');
                self.column = 0;
            }
            if self.column.checked_sub(1) == Some(column) {
                self.out.push(0x08);
            } else if column < self.column {
                self.motion(self.column - column, 'D');
            } else if column > self.column {
                self.motion(column - self.column, 'C');
            }
        }
        (self.row, self.column) = (row, column);
    }

    fn motion(&mut self, count: usize, direction: char) {
        match count {
            1 => self.out.extend_from_slice(format!("\x1b[{direction}").as_bytes()),
            _ => self.out.extend_from_slice(format!("\x1b[{count}{direction}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(columns: usize, bytes: &[u8]) -> Vec<u8> {
        let mut screen = Screen::new();
        screen.begin(columns);
        bytes.iter().for_each(|&byte| assert_eq!(screen.write(byte), None));
        screen.out
    }

    #[test]
    fn positions_become_motions() {
        assert_eq!(written(80, b"> a\x1b[1;4Hb\x1b[1;5H"), b"> ab");
        assert_eq!(written(80, b"> ab\x1b[1;4H"), b"> ab\x08");
        assert_eq!(written(80, b"> ab\x1b[1;2H"), b"> ab\x1b[3D");
        assert_eq!(written(80, b"> ab\x1b[1;1H\x1b[1;4H"), b"> ab\r\x1b[3C");
    }

    #[test]
    fn rows_are_counted_from_the_prompt() {
        assert_eq!(written(4, b"> ab\n\rcd\x1b[1;3H"), b"> ab\r\ncd\x1b[A");
        assert_eq!(written(4, b"> ab\x1b[1;3H"), b"> ab\r\x1b[2C");
    }

    #[test]
    fn looking_for_the_edge_moves_nothing() {
        let mut screen = Screen::new();
        let questions =
            b"\x1b7\x1b[999;999H\x1b[6n\x1b8".iter().filter(|&&byte| screen.write(byte).is_some());
        assert_eq!(questions.count(), 1);
        assert_eq!(screen.out, b"");
    }
}
