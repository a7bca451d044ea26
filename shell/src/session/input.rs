//! What a user has typed and nothing has read yet.

use alloc::collections::VecDeque;

/// The most that is kept. The connection keeps the rest.
const CAPACITY: usize = 1024;
/// What Ctrl-C sends.
pub(crate) const INTERRUPT: u8 = 0x03;

/// A queue of bytes from a user's terminal.
#[derive(Default)]
pub(crate) struct Input {
    queue: VecDeque<u8>,
    /// The last byte taken was a carriage return, so that a line feed after it means nothing.
    is_after_return: bool,
}

impl Input {
    /// Takes as many bytes as there is room for, and answers how many.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        self.queue.extend(bytes.iter().take(taken));
        taken
    }

    pub(crate) fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.queue.len())
    }

    /// The next byte; the line feed of CR LF is left out.
    pub(crate) fn pop(&mut self) -> Option<u8> {
        self.skip_line_feed();
        let byte = self.queue.pop_front()?;
        self.is_after_return = byte == b'\r';
        Some(byte)
    }

    /// All bytes, without taking them.
    pub(crate) fn raw(&mut self) -> &[u8] {
        self.skip_line_feed();
        if !self.queue.is_empty() {
            self.is_after_return = false;
        }
        self.queue.make_contiguous()
    }

    /// Drops the first bytes.
    pub(crate) fn discard(&mut self, count: usize) {
        self.queue.drain(..count.min(self.queue.len()));
    }

    /// Drops everything up to the last Ctrl-C, and answers whether there was one.
    pub(crate) fn take_interrupt(&mut self) -> bool {
        let last = self.queue.iter().rposition(|&byte| byte == INTERRUPT);
        if let Some(last) = last {
            self.discard(last + 1);
            self.is_after_return = false;
        }
        last.is_some()
    }

    /// Makes room for a key that is among bytes for which there was none: whatever is before it is
    /// dropped. Answers how many of the bytes that were.
    pub(crate) fn push_urgent(&mut self, bytes: &[u8], key: u8) -> usize {
        match bytes.iter().rposition(|&byte| byte == key) {
            Some(last) => {
                self.queue.clear();
                self.queue.push_back(key);
                last + 1
            }
            None => 0,
        }
    }

    /// Takes a cursor position report (`ESC [ row ; column R`, ECMA-48 CPR) out of the queue,
    /// wherever it is, and answers its row and column.
    pub(crate) fn take_report(&mut self) -> Option<(usize, usize)> {
        let bytes = self.queue.make_contiguous();
        for start in 0..bytes.len() {
            let Some((report, len)) = bytes.get(start..).and_then(parse_report) else { continue };
            self.queue.drain(start..start + len);
            return Some(report);
        }
        None
    }

    fn skip_line_feed(&mut self) {
        if self.is_after_return && self.queue.front() == Some(&b'\n') {
            self.queue.pop_front();
            self.is_after_return = false;
        }
    }
}

/// A report at the beginning of `bytes`, and its length.
fn parse_report(bytes: &[u8]) -> Option<((usize, usize), usize)> {
    let rest = bytes.strip_prefix(b"\x1b[")?;
    let (row, rest) = parse_number(rest)?;
    let (column, rest) = parse_number(rest.strip_prefix(b";")?)?;
    let rest = rest.strip_prefix(b"R")?;
    Some(((row, column), bytes.len() - rest.len()))
}

/// A number of one to four digits: more would be no terminal.
fn parse_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at_checked(digits).filter(|_| (1..=4).contains(&digits))?;
    Some((number.iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_after_a_return_means_nothing() {
        let mut input = Input::default();
        input.push(b"a\r\nb\nc\r");
        let popped: Vec<u8> = core::iter::from_fn(|| input.pop()).collect();
        assert_eq!(popped, b"a\rb\nc\r");
        input.push(b"\n");
        assert_eq!(input.pop(), None);
        input.push(b"\r");
        input.pop();
        input.push(b"\n\nx");
        assert_eq!(input.raw(), b"\nx");
    }

    #[test]
    fn a_report_is_found_among_typed_keys() {
        let mut input = Input::default();
        input.push(b"vm l\x1b[24;80Rist\x1b[A");
        assert_eq!(input.take_report(), Some((24, 80)));
        assert_eq!(input.take_report(), None);
        assert_eq!(input.raw(), b"vm list\x1b[A");
    }

    #[test]
    fn what_is_not_quite_a_report_is_none() {
        for bytes in [&b"\x1b[;R"[..], b"\x1b[1R", b"\x1b[1;99999R", b"\x1b[1;2", b"\x1b[R"] {
            assert_eq!(parse_report(bytes), None);
        }
    }

    #[test]
    fn an_urgent_key_gets_through_a_full_queue() {
        let mut input = Input::default();
        assert_eq!(input.push(&[b'x'; 5000]), CAPACITY);
        assert_eq!(input.push_urgent(b"yy\x03z", INTERRUPT), 3);
        assert!(input.take_interrupt());
        assert_eq!(input.raw(), b"");
    }
}
