//! What was done, by whom, from where: a ring, whose oldest entries go.

use super::text::printable;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

/// The longest command that is kept, in characters.
const LONGEST_COMMAND: usize = 200;

/// Where somebody is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// At the serial line.
    Serial,
    /// There.
    Remote(IpAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.write_str("serial"),
            Self::Remote(address) => fmt::Display::fmt(address, f),
        }
    }
}

/// What was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// A connection was refused.
    Refused(&'static str),
    /// A password was wrong, or there is no such user. The name is kept of users only: what others type
    /// there may be a password.
    LoginFailed,
    /// After too many failures there is no attempt for a while.
    LockedOut,
    /// A session has begun.
    LoggedIn,
    /// A session has ended, and why.
    LoggedOut(&'static str),
    /// A command was given.
    Command(String),
    /// A command was refused, for the user may not.
    Forbidden(String),
}

impl Act {
    /// A command, fit to be kept.
    #[must_use]
    pub fn command(text: &str) -> Self {
        Self::Command(printable(text.as_bytes(), LONGEST_COMMAND))
    }

    /// A command that was refused, fit to be kept.
    #[must_use]
    pub fn forbidden(text: &str) -> Self {
        Self::Forbidden(printable(text.as_bytes(), LONGEST_COMMAND))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "connection refused: {why}"),
            Self::LoginFailed => f.write_str("login failed"),
            Self::LockedOut => f.write_str("locked out"),
            Self::LoggedIn => f.write_str("logged in"),
            Self::LoggedOut(why) => write!(f, "logged out: {why}"),
            Self::Command(text) => write!(f, "command: {text}"),
            Self::Forbidden(text) => write!(f, "command refused: {text}"),
        }
    }
}

/// One thing that was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// By which user, if it is one.
    pub who: Option<String>,
    /// From where.
    pub from: Origin,
    /// What.
    pub act: Act,
    /// How often in a row; `at` is the last time.
    pub times: u32,
}

impl Entry {
    /// What was done once.
    #[must_use]
    pub fn new(at: Instant, who: Option<&str>, from: Origin, act: Act) -> Self {
        Self { at, who: who.map(String::from), from, act, times: 1 }
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.who, self.from, &self.act) == (&other.who, other.from, &other.act)
    }
}

/// The ring.
#[derive(Debug)]
pub struct Audit {
    entries: VecDeque<Entry>,
    most: usize,
    forgotten: u64,
}

impl Audit {
    /// A ring of `most` entries.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most: most.max(1), forgotten: 0 }
    }

    /// Adds an entry. One that is like the last is counted with that.
    pub fn add(&mut self, entry: Entry) {
        if let Some(last) = self.entries.back_mut().filter(|last| last.is_like(&entry)) {
            last.at = entry.at;
            last.times = last.times.saturating_add(entry.times);
            return;
        }
        if self.entries.len() >= self.most {
            self.entries.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.entries.push_back(entry);
    }

    /// The entries, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many there have been.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.forgotten.saturating_add(self.entries.len() as u64)
    }

    /// How many there were before those.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entries_go_and_are_counted() {
        let mut audit = Audit::new(3);
        for number in 0..10 {
            let act = Act::command(&format!("vm start {number}\x1b[2J"));
            audit.add(Entry::new(Instant(number), None, Origin::Serial, act));
        }
        assert_eq!(audit.forgotten(), 7);
        let texts: Vec<_> = audit.iter().map(|entry| entry.act.to_string()).collect();
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[0], "command: vm start 7\u{fffd}[2J");
        for _ in 0..100 {
            audit.add(Entry::new(Instant(99), Some("me"), Origin::Serial, Act::LoginFailed));
        }
        assert_eq!(audit.iter().next_back().map(|entry| entry.times), Some(100));
        assert_eq!(audit.forgotten(), 8);
        assert!(Act::command(&"x".repeat(1 << 20)).to_string().len() < 300);
    }
}
