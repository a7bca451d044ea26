//! Line editing, on any terminal.
//!
//! A terminal that answers where its cursor is gets noline's editor, behind a [wire]; any other
//! (a pipe, a test, a printer) gets its keys echoed and no control sequence ever. [`Line`] is what
//! both edit: a key changes it, and the same change is made on the screen.

mod face;
mod keys;
mod line;
mod screen;
mod wire;

use crate::access::User;
use crate::complete;
use crate::context::Display;
use crate::history::{History, Recall};
use crate::host::Host;
use crate::output::{Column, Output};
use crate::session::input::Input;
use crate::session::{Lifetime, TerminalKind};
use crate::table;
use crate::terminal_size::TerminalSize;
use alloc::string::String;
use core::time::Duration;
use face::Face;
use keys::{Decoder, Key};
use line::Line;
use wire::{LEAST_COLUMNS, MOST_COLUMNS, Outcome};

/// What is shown where a command can be typed.
pub(crate) const PROMPT: &str = "roost> ";
/// How long a terminal has to answer.
const PATIENCE: Duration = Duration::from_millis(200);
/// Home and erase everything (VT100 CUP, ED).
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
const BELL: &[u8] = b"\x07";
/// What Ctrl-D in an empty line stands for.
const LOGOUT: &str = "logout";
/// The width that a plain terminal is taken to have.
const PLAIN_COLUMNS: usize = 80;

/// What a user has typed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C: the line is gone.
    Nothing,
    /// A line that is too long to be run.
    TooLong,
}

/// Where the editor is in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// There is no prompt.
    Closed,
    /// The terminal is asked for its size, and has until then.
    Probing(Duration),
    /// Keys change the line.
    Open,
    /// The line is kept while something else is shown.
    Hidden,
    /// noline has yet to end its line.
    Closing,
}

/// Reads lines from one terminal.
pub(crate) struct Editor {
    face: Face,
    stage: Stage,
    columns: usize,
    size: Option<TerminalSize>,
    /// The terminal owes an answer to a probe.
    is_probed: bool,
    /// The terminal's size has become known since the face was chosen.
    is_resized: bool,
    decoder: Decoder,
    line: Line,
    history: History,
    recall: Recall,
    /// The last key was a Tab that left several candidates.
    is_ambiguous: bool,
    /// Characters of the line were refused.
    is_overfull: bool,
    lifetime: Lifetime,
}

impl Editor {
    pub(crate) fn new(terminal: TerminalKind, lifetime: Lifetime) -> Self {
        let (face, columns) = match terminal {
            TerminalKind::Probe => (Face::Unknown, PLAIN_COLUMNS),
            TerminalKind::Plain | TerminalKind::Program => (Face::Plain, PLAIN_COLUMNS),
            TerminalKind::Lines => (Face::Lines, PLAIN_COLUMNS),
            TerminalKind::Vt100 { columns } => (Face::of_width(columns.into()), columns.into()),
        };
        Self {
            face,
            stage: Stage::Closed,
            columns: columns.clamp(1, MOST_COLUMNS),
            size: None,
            is_probed: false,
            is_resized: false,
            decoder: Decoder::new(),
            line: Line::default(),
            history: History::default(),
            recall: Recall::default(),
            is_ambiguous: false,
            is_overfull: false,
            lifetime,
        }
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn display(&self) -> Display {
        match self.face {
            Face::Unknown | Face::Plain | Face::Lines => Display::Plain,
            Face::Terminal(_) => Display::Terminal,
        }
    }

    /// When to poll, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Probing(until) => Some(until),
            Stage::Closed | Stage::Open | Stage::Hidden | Stage::Closing => None,
        }
    }

    /// The terminal has this size: its width counts from the next prompt on.
    pub(crate) fn set_size(&mut self, size: TerminalSize) {
        self.columns = usize::from(size.columns).clamp(1, MOST_COLUMNS);
        self.size = Some(size);
        self.is_resized = true;
    }

    /// How large the terminal is, if it has said so.
    pub(crate) fn size(&self) -> Option<TerminalSize> {
        self.size
    }

    /// Shows the prompt and takes keys until a line is complete or `out` is full.
    pub(crate) fn poll(
        &mut self,
        input: &mut Input,
        out: &mut Output,
        (host, user): (&dyn Host, &User),
        now: Duration,
    ) -> Option<Typed> {
        while !out.is_full() {
            match self.stage {
                Stage::Closed => self.open(out, now),
                Stage::Probing(until) => self.await_size(input, out, now, until)?,
                Stage::Closing => {
                    let outcome = self.face.outcome(out)?;
                    return Some(self.close(outcome));
                }
                Stage::Hidden => self.show(out),
                Stage::Open => {
                    if self.face.is_behind(out) {
                        continue;
                    }
                    let Some(key) = self.decoder.advance(input.pop()?) else { continue };
                    let typed = self.key(key, out, (host, user));
                    self.face.is_behind(out);
                    if typed.is_some() {
                        return typed;
                    }
                }
            }
        }
        None
    }

    /// Takes the prompt and the line away until the next poll. What is shown meanwhile is above them.
    pub(crate) fn hide(&mut self, out: &mut Output) {
        match self.stage {
            Stage::Open => {
                self.face.hide(out);
                self.stage = Stage::Hidden;
            }
            Stage::Closed | Stage::Probing(_) | Stage::Hidden | Stage::Closing => out.fresh_line(),
        }
    }

    fn open(&mut self, out: &mut Output, now: Duration) {
        out.fresh_line();
        if matches!(self.face, Face::Unknown) {
            out.control(TerminalSize::QUERY, Column::Kept);
            self.is_probed = true;
            self.stage = Stage::Probing(now.saturating_add(PATIENCE));
            return;
        }
        if core::mem::take(&mut self.is_resized)
            && !matches!(self.face, Face::Lines)
            && self.face.has_cursor() != (self.columns >= LEAST_COLUMNS)
        {
            self.face = Face::of_width(self.columns);
        }
        self.line.take();
        self.recall = Recall::default();
        self.is_overfull = false;
        self.is_ambiguous = false;
        self.show(out);
    }

    /// `None` while the terminal has not answered and may still do.
    fn await_size(
        &mut self,
        input: &mut Input,
        out: &mut Output,
        now: Duration,
        until: Duration,
    ) -> Option<()> {
        match input.take_report() {
            Some((row, column)) => {
                self.take_size(row, column);
                self.face =
                    if self.is_resized { Face::of_width(self.columns) } else { Face::Plain };
            }
            None if now < until => return None,
            // A late answer is still taken, and used from the next prompt on.
            None => self.face = Face::Plain,
        }
        self.stage = Stage::Closed;
        self.open(out, now);
        Some(())
    }

    fn take_size(&mut self, row: usize, column: usize) {
        let size = TerminalSize::of_corner(row, column);
        if core::mem::take(&mut self.is_probed)
            && let Some(size) = size
        {
            self.set_size(size);
        }
    }

    /// Shows the prompt and the line, at the beginning of a line of the screen.
    fn show(&mut self, out: &mut Output) {
        self.stage = Stage::Open;
        self.face.show(&self.line, self.columns, out);
    }

    fn key(&mut self, key: Key, out: &mut Output, world: (&dyn Host, &User)) -> Option<Typed> {
        let was_ambiguous = core::mem::take(&mut self.is_ambiguous);
        match key {
            Key::Enter => return self.enter(out),
            Key::Interrupt => return self.interrupt(out),
            // A line that came whole is not completed.
            Key::Tab if matches!(self.face, Face::Lines) => self.insert(' ', out),
            Key::Tab => self.complete(was_ambiguous, out, world),
            Key::EndOfFile if self.lifetime == Lifetime::Login && self.line.text().is_empty() => {
                self.replace(LOGOUT, out);
                return self.enter(out);
            }
            Key::Char(c) => self.insert(c, out),
            Key::Backspace => self.backspace(1, out),
            Key::KillWord => self.backspace(self.line.to_word_start(), out),
            Key::KillToStart => self.backspace(usize::MAX, out),
            Key::Delete | Key::EndOfFile => self.delete(),
            Key::KillToEnd => self.kill_to_end(),
            Key::Left => self.left(1),
            Key::Right => self.right(1),
            Key::WordLeft => self.left(self.line.to_word_start()),
            Key::WordRight => self.right(self.line.to_word_end()),
            Key::Home => self.left(usize::MAX),
            Key::End => self.right(usize::MAX),
            Key::Up => self.recall_older(out),
            Key::Down => self.recall_newer(out),
            Key::Clear => self.clear(out),
            Key::Report { row, column } => self.take_size(row, column),
            Key::Unknown => {}
        }
        None
    }

    fn enter(&mut self, out: &mut Output) -> Option<Typed> {
        self.stage = Stage::Closing;
        let outcome = self.face.enter(&mut self.line, out)?;
        Some(self.close(outcome))
    }

    fn interrupt(&mut self, out: &mut Output) -> Option<Typed> {
        self.stage = Stage::Closing;
        let outcome = self.face.abort(out)?;
        Some(self.close(outcome))
    }

    fn close(&mut self, outcome: Outcome) -> Typed {
        self.stage = Stage::Closed;
        let is_overfull = core::mem::take(&mut self.is_overfull);
        match outcome {
            Outcome::Aborted => Typed::Nothing,
            Outcome::Line(_) if is_overfull => Typed::TooLong,
            // noline's line, not ours: what runs is what the user saw.
            Outcome::Line(text) => {
                #[cfg(test)]
                assert!(!self.face.has_cursor() || text == self.line.text());
                self.history.add(&text);
                Typed::Line(text)
            }
        }
    }

    fn insert(&mut self, c: char, out: &mut Output) {
        if !self.face.can_show(c) {
            out.control(BELL, Column::Kept);
        } else if self.line.insert(c) {
            self.face.insert(c, out);
        } else {
            self.is_overfull = true;
            out.control(BELL, Column::Kept);
        }
    }

    fn backspace(&mut self, count: usize, out: &mut Output) {
        let count = self.line.backspace(count);
        // Whoever deletes has seen what is there.
        self.is_overfull &= count == 0;
        self.face.backspace(count, out);
    }

    fn delete(&mut self) {
        if self.face.has_cursor() && self.line.delete() {
            self.is_overfull = false;
            self.face.delete();
        }
    }

    fn kill_to_end(&mut self) {
        if self.face.has_cursor() {
            self.is_overfull = false;
            self.line.kill_to_end();
            self.face.kill_to_end();
        }
    }

    fn left(&mut self, count: usize) {
        if self.face.has_cursor() {
            let moved = self.line.left(count);
            self.face.left(moved, &self.line);
        }
    }

    fn right(&mut self, count: usize) {
        if self.face.has_cursor() {
            let moved = self.line.right(count);
            self.face.right(moved, &self.line);
        }
    }

    fn recall_older(&mut self, out: &mut Output) {
        if let Some(text) = self.recall.older(&self.history, self.line.text()) {
            self.replace(&text, out);
        }
    }

    fn recall_newer(&mut self, out: &mut Output) {
        if let Some(text) = self.recall.newer(&self.history) {
            self.replace(&text, out);
        }
    }

    fn replace(&mut self, text: &str, out: &mut Output) {
        if self.face.has_cursor() {
            self.left(usize::MAX);
            self.kill_to_end();
        } else {
            self.backspace(usize::MAX, out);
        }
        text.chars().for_each(|c| self.insert(c, out));
    }

    fn clear(&mut self, out: &mut Output) {
        if !self.face.has_cursor() {
            return;
        }
        self.face.forget();
        out.control(CLEAR, Column::First);
        // The window may have another size by now; the answer counts from the next prompt on.
        out.control(TerminalSize::QUERY, Column::Kept);
        self.is_probed = true;
        self.show(out);
    }

    /// Completes the word before the cursor; the second Tab lists what it could be.
    fn complete(&mut self, was_ambiguous: bool, out: &mut Output, world: (&dyn Host, &User)) {
        let before = self.line.before_cursor();
        let Some(found) = complete::complete(before, world) else {
            out.control(BELL, Column::Kept);
            return;
        };
        let word = before.get(found.word_start..).unwrap_or_default();
        self.is_ambiguous = !found.candidates.is_empty();
        if word == found.word {
            if was_ambiguous && self.is_ambiguous {
                self.list(&found.candidates, out);
            } else {
                out.control(BELL, Column::Kept);
            }
            return;
        }
        if !self.line.has_room_for(found.word.len()) {
            out.control(BELL, Column::Kept);
            return;
        }
        // A blank that follows already serves.
        let has_blank = self.line.after_cursor().starts_with(' ');
        let completed = found.word.strip_suffix(' ').filter(|_| has_blank).unwrap_or(&found.word);
        // What is right already stays; quotes may have to go in before it.
        let kept = if completed.starts_with(word) { word.len() } else { 0 };
        let wrong = if kept == 0 { word.chars().count() } else { 0 };
        self.backspace(wrong, out);
        completed.get(kept..).unwrap_or_default().chars().for_each(|c| self.insert(c, out));
        if completed.len() < found.word.len() {
            self.right(1);
        }
    }

    /// Lists words below the line, and shows the line again below them.
    fn list(&mut self, words: &[String], out: &mut Output) {
        self.face.leave(out);
        _ = table::print_words(out, words, self.columns);
        self.show(out);
    }

    #[cfg(test)]
    pub(crate) fn line(&self) -> (&str, &str) {
        (self.line.before_cursor(), self.line.after_cursor())
    }
}

#[cfg(test)]
mod tests;
