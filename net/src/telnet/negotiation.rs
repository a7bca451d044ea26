//! Which options are on, and what is to be said about them.

use super::code::{Choice, IAC, Verb};
use super::q::{Q, Say};
use crate::bucket::{Rate, Taken, TokenBucket};
use crate::time::Instant;
use alloc::vec::Vec;

/// A client of today sends about ten requests; each may be answered once.
const REPLIES: Rate = Rate { per_second: 4, burst: 64 };
/// Replies that wait to be sent, in bytes: a peer that does not read gets no more.
const WAITING_BYTES: usize = 256;
const REPLY_BYTES: usize = 3;

/// Whose option it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    /// The server's: the client says Do and Dont.
    Ours,
    /// The client's: it says Will and Wont.
    Theirs,
}

/// What the peer asked for, done or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// It is considered.
    Considered,
    /// There were too many requests: this one is as if it had not come.
    Dropped,
}

/// The states of all options that are agreed to, and replies.
#[derive(Debug)]
pub(super) struct Negotiation {
    echo: Q,
    go_ahead_ours: Q,
    go_ahead_theirs: Q,
    binary_ours: Q,
    binary_theirs: Q,
    window: Q,
    replies: Vec<u8>,
    bucket: TokenBucket,
}

impl Negotiation {
    /// Everything is off, as RFC 854 has it.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            echo: Q::No,
            go_ahead_ours: Q::No,
            go_ahead_theirs: Q::No,
            binary_ours: Q::No,
            binary_theirs: Q::No,
            window: Q::No,
            replies: Vec::new(),
            bucket: TokenBucket::new(REPLIES, now),
        }
    }

    /// Asks for an option.
    pub(super) fn ask(&mut self, side: Side, choice: Choice) {
        let Some(q) = self.q(side, choice as u8) else { return };
        let (next, said) = q.want(Say::Yes);
        *q = next;
        if let Some(said) = said {
            self.reply(side, choice as u8, said);
        }
    }

    /// The peer said `verb` of `option`.
    pub(super) fn hear(&mut self, verb: Verb, option: u8, now: Instant) -> Heard {
        let (side, heard) = match verb {
            Verb::Do => (Side::Ours, Say::Yes),
            Verb::Dont => (Side::Ours, Say::No),
            Verb::Will => (Side::Theirs, Say::Yes),
            Verb::Wont => (Side::Theirs, Say::No),
        };
        let (next, said) = match self.q(side, option) {
            Some(q) => q.hear(heard, Say::Yes),
            None => Q::No.hear(heard, Say::No),
        };
        if let Some(said) = said {
            let has_room = self.replies.len() + REPLY_BYTES <= WAITING_BYTES;
            if !has_room || self.bucket.take(1, now) == Taken::No {
                return Heard::Dropped;
            }
            self.reply(side, option, said);
        }
        if let Some(q) = self.q(side, option) {
            *q = next;
        }
        Heard::Considered
    }

    /// Whether an option is on.
    pub(super) fn is_on(&mut self, side: Side, choice: Choice) -> bool {
        self.q(side, choice as u8).is_some_and(|q| q.is_on())
    }

    /// What is to be sent.
    pub(super) fn replies(&self) -> &[u8] {
        &self.replies
    }

    /// The first `count` bytes of the replies are sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.replies.drain(..count.min(self.replies.len()));
    }

    /// The state of an option that is agreed to.
    fn q(&mut self, side: Side, option: u8) -> Option<&mut Q> {
        const BINARY: u8 = Choice::Binary as u8;
        const ECHO: u8 = Choice::Echo as u8;
        const GO_AHEAD: u8 = Choice::SuppressGoAhead as u8;
        const WINDOW: u8 = Choice::WindowSize as u8;
        match (side, option) {
            (Side::Ours, BINARY) => Some(&mut self.binary_ours),
            (Side::Theirs, BINARY) => Some(&mut self.binary_theirs),
            (Side::Ours, ECHO) => Some(&mut self.echo),
            (Side::Ours, GO_AHEAD) => Some(&mut self.go_ahead_ours),
            (Side::Theirs, GO_AHEAD) => Some(&mut self.go_ahead_theirs),
            (Side::Theirs, WINDOW) => Some(&mut self.window),
            _ => None,
        }
    }

    fn reply(&mut self, side: Side, option: u8, say: Say) {
        let verb = match (side, say) {
            (Side::Ours, Say::Yes) => Verb::Will,
            (Side::Ours, Say::No) => Verb::Wont,
            (Side::Theirs, Say::Yes) => Verb::Do,
            (Side::Theirs, Say::No) => Verb::Dont,
        };
        self.replies.extend([IAC, verb as u8, option]);
    }
}
