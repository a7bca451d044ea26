//! What the driver has, and whom its end is told.

use super::super::raw::Token;
use super::super::{Operation, RequestId, SectorRange};
use super::ClientId;
use alloc::vec::Vec;
use hv_core::time::Instant;

/// When a request is late: known once the clock was first seen after it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deadline {
    /// Not known yet.
    Unset,
    /// Then.
    At(Instant),
}

impl Deadline {
    /// Whether it is over at `now`; it is set to `limit` if it was not known.
    pub(super) fn is_over(&mut self, now: Instant, limit: Instant) -> bool {
        match self {
            Self::Unset => {
                *self = Self::At(limit);
                false
            }
            Self::At(instant) => *instant <= now,
        }
    }

    /// Its instant: the beginning of time if it is not known yet, so that somebody looks.
    pub(super) fn instant(self) -> Instant {
        match self {
            Self::Unset => Instant::default(),
            Self::At(instant) => instant,
        }
    }
}

/// Which request of which client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) client: ClientId,
    pub(super) id: RequestId,
    pub(super) deadline: Deadline,
}

/// Who waits for the end of a command.
#[derive(Debug)]
pub(super) enum Owner {
    /// A client, for its data.
    Client(Waiter),
    /// A client that gave it up, but is told when it has ended.
    Cancelled(Waiter),
    /// Those that wanted a flush, some of whom may be gone.
    Flush(Vec<Waiter>),
    /// Nobody, but the buffer is this client's.
    Stray(ClientId),
}

/// What a flight does to its sectors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Read,
    /// A write, a discard, zeroes.
    Change,
    Flush,
}

impl Kind {
    pub(super) fn of(operation: &Operation) -> Self {
        match operation {
            Operation::Read { .. } => Self::Read,
            Operation::Flush => Self::Flush,
            Operation::Write { .. } | Operation::Discard(_) | Operation::WriteZeroes(..) => {
                Self::Change
            }
        }
    }
}

/// A command that the driver has.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) token: Token,
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    pub(super) range: SectorRange,
    /// Bytes of data.
    pub(super) bytes: u64,
}

impl Flight {
    /// Whether its outcome may be another if a command of `kind` on `range` passes it.
    pub(super) fn meets(&self, kind: Kind, range: SectorRange) -> bool {
        self.is_stray()
            && (self.kind == Kind::Change || kind == Kind::Change)
            && self.range.overlaps(range)
    }

    /// Whether no client waits for it in a way that orders it.
    pub(super) fn is_stray(&self) -> bool {
        match self.owner {
            Owner::Cancelled(_) | Owner::Stray(_) => true,
            Owner::Client(_) | Owner::Flush(_) => false,
        }
    }
}
