//! Roost's own log: the last lines, for `log show`.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use log::{Level, LevelFilter, Metadata, Record};

/// How many lines are kept.
const LINES: usize = 256;
/// A line that is longer is cut.
const LINE_BYTES: usize = 400;
/// Levels, as figures name them.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) sequence: u64,
    pub(crate) at: Instant,
    pub(crate) level: Level,
    pub(crate) target: String,
    pub(crate) text: String,
}

struct Journal {
    lines: Mutex<Lines>,
}

struct Lines {
    kept: VecDeque<Line>,
    next: u64,
    /// How many there were of each level, the most severe first.
    counts: [u64; LEVELS.len()],
}

static JOURNAL: Journal = Journal {
    lines: Mutex::new(Lines { kept: VecDeque::new(), next: 0, counts: [0; LEVELS.len()] }),
};

impl log::Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let mut text = format!("{}", record.args());
        if text.len() > LINE_BYTES {
            let end = (0..=LINE_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            text.truncate(end);
        }
        let at = hv_core::host::now();
        let target = String::from(record.target().split(':').next().unwrap_or(""));
        let mut lines = self.lines.lock();
        let sequence = lines.next;
        lines.next += 1;
        if let Some(count) = lines.counts.get_mut((record.level() as usize).wrapping_sub(1)) {
            *count += 1;
        }
        if lines.kept.len() == LINES {
            lines.kept.pop_front();
        }
        lines.kept.push_back(Line { sequence, at, level: record.level(), target, text });
    }

    fn flush(&self) {}
}

/// Lets everything that logs come here.
pub(crate) fn init() {
    // It fails only if there is a logger already: there is one, this.
    let _ = log::set_logger(&JOURNAL);
    log::set_max_level(LevelFilter::Info);
}

/// The number that the next line will have.
pub(crate) fn end() -> u64 {
    JOURNAL.lines.lock().next
}

/// How many lines there were of each level, also those that are no longer kept.
pub(crate) fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    LEVELS.into_iter().zip(JOURNAL.lines.lock().counts)
}

/// Up to `max` lines from number `from` on.
pub(crate) fn lines(from: u64, max: usize) -> Vec<Line> {
    let lines = JOURNAL.lines.lock();
    lines.kept.iter().filter(|line| line.sequence >= from).take(max).cloned().collect()
}
