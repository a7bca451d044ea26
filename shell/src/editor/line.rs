//! The line that is being typed: its text and where the cursor is.

use alloc::string::String;

/// The longest line, in bytes.
pub(super) const LONGEST: usize = 1000;

/// A line of at most [`LONGEST`] bytes.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    /// In bytes, at the beginning of a character.
    cursor: usize,
}

impl Line {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn before_cursor(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    pub(super) fn after_cursor(&self) -> &str {
        self.text.get(self.cursor..).unwrap_or_default()
    }

    /// Empties the line and gives its text.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        core::mem::take(&mut self.text)
    }

    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.text.len() + bytes <= LONGEST
    }

    /// Inserts a character, if there is room; answers whether there was.
    pub(super) fn insert(&mut self, c: char) -> bool {
        let has_room = self.has_room_for(c.len_utf8());
        if has_room {
            self.text.insert(self.cursor, c);
            self.cursor += c.len_utf8();
        }
        has_room
    }

    /// Deletes up to `count` characters before the cursor; answers how many.
    pub(super) fn backspace(&mut self, count: usize) -> usize {
        let moved = self.left(count);
        for _ in 0..moved {
            self.text.remove(self.cursor);
        }
        moved
    }

    /// Deletes the character at the cursor; answers whether there was one.
    pub(super) fn delete(&mut self) -> bool {
        let has_one = self.cursor < self.text.len();
        if has_one {
            self.text.remove(self.cursor);
        }
        has_one
    }

    pub(super) fn kill_to_end(&mut self) {
        self.text.truncate(self.cursor);
    }

    /// Moves by up to `count` characters; answers how many.
    pub(super) fn left(&mut self, count: usize) -> usize {
        let back = self.before_cursor().chars().rev().take(count);
        let (moved, bytes) =
            back.fold((0, 0), |(moved, bytes), c| (moved + 1, bytes + c.len_utf8()));
        self.cursor -= bytes;
        moved
    }

    /// Moves by up to `count` characters; answers how many.
    pub(super) fn right(&mut self, count: usize) -> usize {
        let on = self.after_cursor().chars().take(count);
        let (moved, bytes) = on.fold((0, 0), |(moved, bytes), c| (moved + 1, bytes + c.len_utf8()));
        self.cursor += bytes;
        moved
    }

    /// How many characters there are from the cursor back to the beginning of a word.
    pub(super) fn to_word_start(&self) -> usize {
        word_len(self.before_cursor().chars().rev())
    }

    /// How many characters there are from the cursor on to the end of a word.
    pub(super) fn to_word_end(&self) -> usize {
        word_len(self.after_cursor().chars())
    }
}

/// The blanks at the beginning, and the word after them.
fn word_len(mut chars: impl Iterator<Item = char>) -> usize {
    let mut len = 0;
    let mut is_in_word = false;
    while let Some(c) = chars.next().filter(|c| !is_in_word || !c.is_whitespace()) {
        is_in_word |= !c.is_whitespace();
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_keep_the_cursor_between_characters() {
        let mut line = Line::default();
        "naïve café".chars().for_each(|c| assert!(line.insert(c)));
        assert_eq!(line.to_word_start(), 4);
        assert_eq!(line.left(6), 6);
        assert_eq!((line.before_cursor(), line.after_cursor()), ("naïv", "e café"));
        assert_eq!(line.backspace(2), 2);
        assert!(line.delete());
        assert_eq!(line.text(), "na café");
        assert_eq!(line.to_word_end(), 5);
        assert_eq!(line.right(99), 5);
        assert!(!line.delete());
        assert_eq!(line.left(99), 7);
        line.kill_to_end();
        assert_eq!(line.take(), "");
    }

    #[test]
    fn a_line_is_never_longer_than_its_limit() {
        let mut line = Line::default();
        (0..LONGEST - 1).for_each(|_| assert!(line.insert('x')));
        assert!(!line.insert('é'));
        assert!(line.insert('x'));
        assert!(!line.insert('x'));
        assert_eq!(line.text().len(), LONGEST);
    }
}
