//! Bytes from a terminal, as keys.

use core::str;

/// The longest control sequence that is looked at; longer ones are skipped to their end.
const LONGEST: usize = 12;

/// A key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    /// A character that is no control character.
    Char(char),
    Enter,
    Tab,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D: deletes as [`Key::Delete`] does.
    EndOfFile,
    /// Ctrl-L.
    Clear,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Ctrl-U.
    KillToStart,
    /// Ctrl-K.
    KillToEnd,
    /// Ctrl-W.
    KillWord,
    /// The terminal answers where its cursor is: not the user's doing.
    Report {
        /// From 1.
        row: usize,
        /// From 1.
        column: usize,
    },
    /// Anything else.
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Ground,
    Escape,
    /// After `ESC O` (SS3): application cursor keys.
    Single,
    /// After `ESC [` (CSI).
    Control,
    /// In a control sequence that is too long.
    Skip,
    /// In a character of this many bytes.
    Utf8(usize),
}

/// Takes bytes apart. Whatever they are, it ends in a key and not in trouble.
pub(super) struct Decoder {
    state: State,
    held: [u8; LONGEST],
    held_len: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { state: State::Ground, held: [0; LONGEST], held_len: 0 }
    }

    /// The key that this byte completes.
    pub(super) fn advance(&mut self, byte: u8) -> Option<Key> {
        // Control characters are keys even in the middle of a sequence, so that Ctrl-C always works.
        if matches!(byte, 0..=0x1f | 0x7f) {
            if byte == 0x1b {
                self.state = State::Escape;
                return None;
            }
            // Alt-Backspace.
            let is_alt = core::mem::replace(&mut self.state, State::Ground) == State::Escape;
            return Some(if is_alt && byte == 0x7f { Key::KillWord } else { control(byte) });
        }
        match self.state {
            State::Ground => self.ground(byte),
            State::Utf8(len) => self.utf8(len, byte),
            State::Escape => self.escape(byte),
            State::Single => {
                self.state = State::Ground;
                Some(cursor_key(byte))
            }
            State::Control => self.control_sequence(byte),
            State::Skip => {
                if matches!(byte, 0x40..=0x7e) {
                    self.state = State::Ground;
                    return Some(Key::Unknown);
                }
                None
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        let len = match byte {
            0x20..=0x7e => return Some(Key::Char(char::from(byte))),
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Some(Key::Unknown),
        };
        self.held_len = 0;
        self.hold(byte);
        self.state = State::Utf8(len);
        None
    }

    fn utf8(&mut self, len: usize, byte: u8) -> Option<Key> {
        if !matches!(byte, 0x80..=0xbf) {
            // The character breaks off, and this byte begins another one.
            self.state = State::Ground;
            return Some(self.ground(byte).unwrap_or(Key::Unknown));
        }
        self.hold(byte);
        if self.held_len < len {
            return None;
        }
        self.state = State::Ground;
        let c = str::from_utf8(self.held()).ok().and_then(|text| text.chars().next());
        Some(c.filter(|c| !c.is_control()).map_or(Key::Unknown, Key::Char))
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.held_len = 0;
        self.state = match byte {
            b'[' => State::Control,
            b'O' => State::Single,
            _ => State::Ground,
        };
        match byte {
            b'[' | b'O' => None,
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            _ => Some(Key::Unknown),
        }
    }

    fn control_sequence(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x40..=0x7e => {
                self.state = State::Ground;
                Some(sequence(self.held(), byte))
            }
            _ if self.held_len == LONGEST => {
                self.state = State::Skip;
                None
            }
            _ => {
                self.hold(byte);
                None
            }
        }
    }

    fn hold(&mut self, byte: u8) {
        if let Some(slot) = self.held.get_mut(self.held_len) {
            *slot = byte;
            self.held_len += 1;
        }
    }

    fn held(&self) -> &[u8] {
        self.held.get(..self.held_len).unwrap_or_default()
    }
}

fn control(byte: u8) -> Key {
    match byte {
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfFile,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        b'\t' => Key::Tab,
        b'\n' | b'\r' => Key::Enter,
        0x0b => Key::KillToEnd,
        0x0c => Key::Clear,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x15 => Key::KillToStart,
        0x17 => Key::KillWord,
        _ => Key::Unknown,
    }
}

/// The keys of `ESC O x` and `ESC [ x`.
fn cursor_key(last: u8) -> Key {
    match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        _ => Key::Unknown,
    }
}

/// The key of `ESC [ parameters last`.
fn sequence(parameters: &[u8], last: u8) -> Key {
    match (parameters, last) {
        ([], _) => cursor_key(last),
        // With a modifier: Alt is 3, Ctrl is 5.
        (b"1;5" | b"1;3", b'C') => Key::WordRight,
        (b"1;5" | b"1;3", b'D') => Key::WordLeft,
        (b"1" | b"7", b'~') => Key::Home,
        (b"3", b'~') => Key::Delete,
        (b"4" | b"8", b'~') => Key::End,
        (_, b'R') => report(parameters).unwrap_or(Key::Unknown),
        _ => Key::Unknown,
    }
}

fn report(parameters: &[u8]) -> Option<Key> {
    let (row, column) = str::from_utf8(parameters).ok()?.split_once(';')?;
    Some(Key::Report { row: row.parse().ok()?, column: column.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::new();
        bytes.iter().filter_map(|&byte| decoder.advance(byte)).collect()
    }

    #[test]
    fn keys_are_known_by_all_their_sequences() {
        assert_eq!(keys(b"\x1b[A\x1bOA\x10"), [Key::Up; 3]);
        assert_eq!(keys(b"\x1b[H\x1b[1~\x1bOH\x1b[7~\x01"), [Key::Home; 5]);
        assert_eq!(keys(b"\x1b[3~"), [Key::Delete]);
        assert_eq!(keys(b"\x1b[1;5D\x1bb"), [Key::WordLeft; 2]);
        assert_eq!(keys(b"\x1b\x7f\x17"), [Key::KillWord; 2]);
    }

    #[test]
    fn characters_are_decoded_and_broken_ones_are_unknown() {
        assert_eq!(keys("aé€𝄞".as_bytes()), ['a', 'é', '€', '𝄞'].map(Key::Char));
        assert_eq!(keys(b"\xc3a"), [Key::Char('a')]);
        assert_eq!(keys(b"\xff\x80\xed\xa0\x80"), [Key::Unknown; 3]);
        assert_eq!(keys(b"\xc2\x85"), [Key::Unknown]);
    }

    #[test]
    fn ctrl_c_works_in_the_middle_of_anything() {
        for begun in
            [&b"\x1b"[..], b"\x1b[", b"\x1b[1;", b"\x1bO", b"\xe2\x82", b"\x1b[111111111111111111"]
        {
            let mut bytes = begun.to_vec();
            bytes.extend(b"\x03a");
            assert_eq!(keys(&bytes), [Key::Interrupt, Key::Char('a')]);
        }
    }

    #[test]
    fn long_sequences_are_skipped_to_their_end() {
        assert_eq!(keys(b"\x1b[1;2;3;4;5;6;7;8;9;10ma"), [Key::Unknown, Key::Char('a')]);
    }

    #[test]
    fn reports_are_told_from_keys() {
        assert_eq!(keys(b"\x1b[24;80R"), [Key::Report { row: 24, column: 80 }]);
        assert_eq!(keys(b"\x1b[R\x1b[;R\x1b[1R\x1b[-1;2R"), [Key::Unknown; 4]);
    }
}
