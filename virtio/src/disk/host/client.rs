//! One client of the host's disk: what it has submitted, what it may do next, and what was done for it.

use super::super::geometry::Access;
use super::super::{Completer, DiskError, News, Operation, Request, RequestId, SectorRange};
use super::ClientStatistics;
use super::flight::{Deadline, Kind, Waiter};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;
use hv_core::time::Instant;

/// More than a device has requests: it is an error in the client to have more.
const MOST_WAITING: usize = 1024;

/// Which client. Never used twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ClientId(pub(super) u64);

/// A request that the driver has not got yet; its sectors are the disk's.
pub(super) struct Waiting {
    pub(super) id: RequestId,
    pub(super) operation: Operation,
    pub(super) deadline: Deadline,
}

pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) range: SectorRange,
    pub(super) access: Access,
    pub(super) completer: Option<Weak<dyn Completer>>,
    pub(super) waiting: VecDeque<Waiting>,
    /// Its writes, discards and zeroes that the driver has, and that are not late.
    pub(super) changes_in_flight: usize,
    /// What it is to be told once no lock is held.
    pub(super) news: Vec<News>,
    /// Bytes that it may still transfer in this turn.
    pub(super) credit: u64,
    pub(super) statistics: ClientStatistics,
}

impl Client {
    pub(super) fn new(id: ClientId, range: SectorRange, access: Access) -> Self {
        Self {
            id,
            range,
            access,
            completer: None,
            waiting: VecDeque::new(),
            changes_in_flight: 0,
            news: Vec::new(),
            credit: 0,
            statistics: ClientStatistics::default(),
        }
    }

    /// What it is to be told, and who hears it. Nothing, if nobody does: it is dropped.
    pub(super) fn take_news(&mut self) -> Option<(Arc<dyn Completer>, Vec<News>)> {
        if self.news.is_empty() {
            return None;
        }
        let news = mem::take(&mut self.news);
        Some((self.completer.as_ref()?.upgrade()?, news))
    }

    /// Takes a request, or gives it back if there are too many, or no memory for one more.
    pub(super) fn enqueue(&mut self, request: Request) -> Result<(), Request> {
        if self.waiting.len() >= MOST_WAITING || self.waiting.try_reserve(1).is_err() {
            return Err(request);
        }
        let Request { id, operation } = request;
        self.statistics.requests += 1;
        self.statistics.flushes += u64::from(matches!(operation, Operation::Flush));
        self.waiting.push_back(Waiting { id, operation, deadline: Deadline::Unset });
        Ok(())
    }

    /// A command of its has ended.
    pub(super) fn landed(&mut self, kind: Kind, bytes: u64, result: Result<(), DiskError>) {
        if kind == Kind::Change {
            self.changes_in_flight = self.changes_in_flight.saturating_sub(1);
        }
        match (result, kind) {
            (Ok(()), Kind::Read) => self.statistics.read_bytes += bytes,
            (Ok(()), Kind::Change) => self.statistics.written_bytes += bytes,
            (Ok(()), Kind::Flush) | (Err(_), _) => {}
        }
    }

    /// Takes the flush that is next, if every earlier write has ended.
    pub(super) fn take_ready_flush(&mut self) -> Option<Waiter> {
        let next = self.waiting.front()?;
        if !matches!(next.operation, Operation::Flush) || self.changes_in_flight != 0 {
            return None;
        }
        let Waiting { id, deadline, .. } = self.waiting.pop_front()?;
        Some(Waiter { client: self.id, id, deadline })
    }

    /// Takes the first request, if it is late at `now`. Requests come and go in order, so if it is not, none is.
    pub(super) fn take_late(&mut self, now: Instant, limit: Instant) -> Option<Waiting> {
        if self.waiting.front_mut()?.deadline.is_over(now, limit) {
            return self.waiting.pop_front();
        }
        None
    }

    /// Sets the deadline of those that have none: the last.
    pub(super) fn set_deadlines(&mut self, limit: Instant) {
        for waiting in self.waiting.iter_mut().rev() {
            if waiting.deadline != Deadline::Unset {
                return;
            }
            waiting.deadline = Deadline::At(limit);
        }
    }
}

impl ClientStatistics {
    /// A request has ended after so long.
    pub(super) fn count(&mut self, result: Result<(), DiskError>, took: Duration) {
        match result {
            // Who gives up its requests does not count them as failed.
            Ok(()) | Err(DiskError::Cancelled) => {}
            Err(DiskError::Late) => {
                self.late += 1;
                self.errors += 1;
            }
            Err(
                DiskError::Medium
                | DiskError::OutOfRange
                | DiskError::Unaligned
                | DiskError::ReadOnly
                | DiskError::Unsupported
                | DiskError::NoSpace
                | DiskError::Busy,
            ) => self.errors += 1,
        }
        self.longest = self.longest.max(took);
    }
}
