//! The lines that a session's user has typed.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Lines kept.
const LINES: usize = 100;
/// Bytes kept.
const BYTES: usize = 8192;

/// Recent lines, oldest first. None is empty, and none equals the one before it.
#[derive(Default)]
pub(crate) struct History {
    lines: VecDeque<String>,
    bytes: usize,
    /// Lines that are forgotten already: the first one's number.
    forgotten: usize,
}

impl History {
    pub(crate) fn add(&mut self, line: &str) {
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
            self.forgotten += 1;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// The line `index` places after the oldest.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        self.lines.get(index).map(String::as_str)
    }

    /// The lines and their numbers, counted from 1 in this session.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines
            .iter()
            .enumerate()
            .map(|(index, line)| (self.forgotten + index + 1, line.as_str()))
    }
}

/// A walk through the history, and the line from which it began.
#[derive(Default)]
pub(crate) struct Recall {
    /// The place that is shown; `None` where the walk began.
    place: Option<usize>,
    draft: String,
}

impl Recall {
    /// The line before the one that is shown, if there is one. `current` is what is typed now.
    pub(crate) fn older(&mut self, history: &History, current: &str) -> Option<String> {
        let older = self.place.unwrap_or(history.len()).checked_sub(1)?;
        let text = history.get(older)?.into();
        if self.place.is_none() {
            self.draft = current.into();
        }
        self.place = Some(older);
        Some(text)
    }

    /// The line after the one that is shown; after the last one, the line that was begun.
    pub(crate) fn newer(&mut self, history: &History) -> Option<String> {
        let newer = self.place? + 1;
        let text = history.get(newer).map(Into::into);
        self.place = text.as_ref().map(|_: &String| newer);
        Some(text.unwrap_or_else(|| core::mem::take(&mut self.draft)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_has_no_blanks_and_no_repetitions() {
        let mut history = History::default();
        ["a", "a", "", "  ", "b", "a"].iter().for_each(|line| history.add(line));
        assert_eq!(history.numbered().collect::<Vec<_>>(), [(1, "a"), (2, "b"), (3, "a")]);
    }

    #[test]
    fn history_is_bounded_in_lines_and_in_bytes() {
        let mut history = History::default();
        for number in 0..1000 {
            history.add(&number.to_string());
        }
        assert_eq!(history.len(), LINES);
        assert_eq!(history.get(99), Some("999"));
        assert_eq!(history.numbered().next(), Some((901, "900")));
        for letter in 'a'..='z' {
            history.add(&letter.to_string().repeat(1000));
        }
        assert_eq!(history.len(), BYTES / 1000);
    }
}
