//! What a block device has done since its machine was made, for `vm info`. It survives resets.

use super::request::{Direction, Task, Work};
use crate::disk::SECTOR_BYTES;
use core::sync::atomic::{AtomicU64, Ordering};

/// Counters, which may be read at any time and without the device's lock. How often it was notified and how often it
/// interrupted says its [`Record`](crate::record::Record).
///
/// All orderings are relaxed: each counter stands for itself.
#[derive(Debug, Default)]
pub struct Statistics {
    reads: AtomicU64,
    writes: AtomicU64,
    flushes: AtomicU64,
    discards: AtomicU64,
    zeroes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    errors: AtomicU64,
}

/// The counters at some time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests to read that were begun.
    pub reads: u64,
    /// Requests to write.
    pub writes: u64,
    /// Requests to flush.
    pub flushes: u64,
    /// Requests to discard.
    pub discards: u64,
    /// Requests to write zeroes.
    pub zeroes: u64,
    /// Bytes that reads asked for.
    pub read_bytes: u64,
    /// Bytes that writes asked for.
    pub written_bytes: u64,
    /// Requests of any kind that ended with an error.
    pub errors: u64,
}

impl Statistics {
    /// What they are now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            reads: get(&self.reads),
            writes: get(&self.writes),
            flushes: get(&self.flushes),
            discards: get(&self.discards),
            zeroes: get(&self.zeroes),
            read_bytes: get(&self.read_bytes),
            written_bytes: get(&self.written_bytes),
            errors: get(&self.errors),
        }
    }

    pub(super) fn begin(&self, work: &Work) {
        match work {
            Work::Data { direction, range, .. } => {
                let bytes = range.count() * SECTOR_BYTES;
                let (requests, sum) = match direction {
                    Direction::Read => (&self.reads, &self.read_bytes),
                    Direction::Write => (&self.writes, &self.written_bytes),
                };
                add(requests, 1);
                add(sum, bytes);
            }
            Work::Flush => add(&self.flushes, 1),
            Work::Ranges(tasks) => match tasks.front() {
                Some(Task::Discard(_)) => add(&self.discards, 1),
                Some(Task::WriteZeroes(..)) => add(&self.zeroes, 1),
                None => {}
            },
        }
    }

    pub(super) fn error(&self) {
        add(&self.errors, 1);
    }
}

/// Only the holder of the device's lock counts, so this need not be one access.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}
