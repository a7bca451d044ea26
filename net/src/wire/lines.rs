//! Received bytes become lines.

use alloc::vec::Vec;

/// The longest line, without its end. The shell's own limit for a command is lower.
pub const LONGEST_LINE: usize = 4096;

/// A line that has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Line {
    /// Its bytes, without the end (LF or CR LF).
    Whole(Vec<u8>),
    /// It was longer than [`LONGEST_LINE`]: nothing is kept of it.
    TooLong,
}

/// The line that is under way.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Takes bytes up to the end of a line; how many were taken, and the line.
    pub fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Line>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        // One more for the CR, which is not known to be one until the LF comes.
        if self.line.len() + part.len() > LONGEST_LINE + 1 {
            self.is_too_long = true;
            self.line = Vec::new();
        }
        if !self.is_too_long {
            self.line.extend(part);
        }
        let Some(end) = end else { return (bytes.len(), None) };
        let mut line = core::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let is_too_long = core::mem::take(&mut self.is_too_long) || line.len() > LONGEST_LINE;
        (end + 1, Some(if is_too_long { Line::TooLong } else { Line::Whole(line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(lines: &mut Lines, mut bytes: &[u8]) -> Vec<Line> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (taken, line) = lines.feed(bytes);
            assert!(taken > 0);
            assert!(lines.line.len() <= LONGEST_LINE + 1);
            bytes = &bytes[taken..];
            all.extend(line);
        }
        all
    }

    fn whole(text: &[u8]) -> Line {
        Line::Whole(text.to_vec())
    }

    #[test]
    fn both_ends_of_lines_are_ends() {
        let lines = all(&mut Lines::default(), b"vm list\nvm\rstop\r\n\r\n\nrest");
        assert_eq!(lines, [whole(b"vm list"), whole(b"vm\rstop"), whole(b""), whole(b"")]);
    }

    #[test]
    fn a_line_of_a_megabyte_is_told_once_and_the_next_one_is_read() {
        let mut lines = Lines::default();
        for piece in vec![b'x'; 1 << 20].chunks(1000) {
            assert_eq!(all(&mut lines, piece), []);
        }
        assert_eq!(all(&mut lines, b"\nvm list\n"), [Line::TooLong, whole(b"vm list")]);
        let longest = vec![b'x'; LONGEST_LINE];
        assert_eq!(
            all(&mut lines, &[&longest[..], b"\r\n"].concat()),
            [Line::Whole(longest.clone())]
        );
        assert_eq!(all(&mut lines, &[&longest[..], b"x\n"].concat()), [Line::TooLong]);
    }

    proptest! {
        #[test]
        fn pieces_are_the_lines_that_the_whole_is(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..300),
            at in 0..300usize,
        ) {
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            let mut lines = Lines::default();
            let pieces = [all(&mut lines, one), all(&mut lines, two)].concat();
            prop_assert_eq!(pieces, all(&mut Lines::default(), &bytes));
        }
    }
}
