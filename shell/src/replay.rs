//! A guest's old output, made harmless to show again.
//!
//! Programs ask a terminal where its cursor is, or what it is, by control sequences (ECMA-48 DSR
//! and DA), and the terminal types the answer. When old output is replayed, the answer would be
//! typed to a guest that has long stopped waiting for it, so the questions are left out.

/// The longest sequence that may be a question: `ESC [ ? 6 n`, with some digits to spare.
const LONGEST: usize = 8;

/// Leaves terminal queries out of a stream that comes in pieces.
#[derive(Default)]
pub(crate) struct Replay {
    /// A sequence that has begun, and may be a question.
    held: [u8; LONGEST],
    held_len: usize,
}

impl Replay {
    /// Passes on the bytes that are no questions.
    pub(crate) fn filter(&mut self, bytes: &[u8], mut pass: impl FnMut(&[u8])) {
        for &byte in bytes {
            let is_control = matches!(byte, 0..=0x1f | 0x7f);
            match self.held_len {
                0 if byte != 0x1b => pass(&[byte]),
                0 => self.hold(byte),
                // A sequence that a control character interrupts is not one.
                _ if is_control => {
                    self.finish(&mut pass);
                    if byte == 0x1b { self.hold(byte) } else { pass(&[byte]) }
                }
                1 if byte == b'[' => self.hold(byte),
                1 if byte == b'Z' => self.held_len = 0,
                1 => {
                    self.finish(&mut pass);
                    pass(&[byte]);
                }
                // Final bytes: `n` asks for a report, `c` for the terminal's kind.
                _ if matches!(byte, b'n' | b'c') => self.held_len = 0,
                _ if matches!(byte, b'0'..=b'9' | b';' | b'?' | b'>')
                    && self.held_len < LONGEST =>
                {
                    self.hold(byte);
                }
                _ => {
                    self.finish(&mut pass);
                    pass(&[byte]);
                }
            }
        }
    }

    /// Passes on what was held back, because nothing completes it.
    pub(crate) fn finish(&mut self, mut pass: impl FnMut(&[u8])) {
        if let Some(held) = self.held.get(..self.held_len).filter(|held| !held.is_empty()) {
            pass(held);
        }
        self.held_len = 0;
    }

    fn hold(&mut self, byte: u8) {
        if let Some(slot) = self.held.get_mut(self.held_len) {
            *slot = byte;
            self.held_len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut replay, mut shown) = (Replay::default(), Vec::new());
        for chunk in bytes.chunks(piece) {
            replay.filter(chunk, |bytes| shown.extend_from_slice(bytes));
        }
        replay.finish(|bytes| shown.extend_from_slice(bytes));
        shown
    }

    #[test]
    fn questions_are_left_out_however_the_stream_is_cut() {
        for piece in 1..20 {
            assert_eq!(
                replayed(b"/ # \x1b[6nls\x1b[c\x1b[?6n\x1b[>0c\x1bZ!\r\n", piece),
                b"/ # ls!\r\n"
            );
        }
    }

    #[test]
    fn everything_else_passes() {
        let text = b"\x1b[1;31mred\x1b[0m \x1b[2J\x1b[\x1b[H\x1bM \x1b\n\x1b[12345678901n \x1b[6";
        for piece in 1..20 {
            assert_eq!(replayed(text, piece), text);
        }
    }
}
