//! Finds a text in a stream of bytes that arrives in pieces.

use alloc::vec::Vec;

/// Knuth, Morris and Pratt's matcher: constant memory and no second look at any byte.
pub(crate) struct Matcher {
    pattern: Vec<u8>,
    /// For each prefix, the length of its longest proper border.
    borders: Vec<usize>,
    matched: usize,
}

impl Matcher {
    /// A matcher for a pattern that is not empty.
    pub(crate) fn new(pattern: Vec<u8>) -> Self {
        let mut borders = Vec::with_capacity(pattern.len());
        borders.push(0);
        let mut border = 0;
        for &byte in pattern.iter().skip(1) {
            border = Self::extend(&pattern, &borders, border, byte);
            borders.push(border);
        }
        Self { pattern, borders, matched: 0 }
    }

    /// How many of these bytes it takes to complete the pattern; `None` if they do not.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, &byte) in bytes.iter().enumerate() {
            self.matched = Self::extend(&self.pattern, &self.borders, self.matched, byte);
            if self.matched == self.pattern.len() {
                self.matched = 0;
                return Some(index + 1);
            }
        }
        None
    }

    fn extend(pattern: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
        loop {
            if pattern.get(matched) == Some(&byte) {
                return matched + 1;
            }
            match matched.checked_sub(1).and_then(|last| borders.get(last)) {
                Some(&shorter) => matched = shorter,
                None => return 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_of_a_stream_finds_the_first_match() {
        let text = b"aabaabaaabaabaac";
        for pattern in [&b"aabaaab"[..], b"c", b"aac", b"aabaabaac", b"zz"] {
            let expected = text.windows(pattern.len()).position(|window| window == pattern);
            for piece in 1..=text.len() {
                let mut matcher = Matcher::new(pattern.into());
                let found = text
                    .chunks(piece)
                    .enumerate()
                    .find_map(|(index, chunk)| Some(index * piece + matcher.find(chunk)?));
                assert_eq!(found, expected.map(|start| start + pattern.len()));
            }
        }
    }
}
