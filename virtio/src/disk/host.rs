//! The host's disk, shared by clients: guests with a partition each, and the host itself.
//!
//! ```text
//!   client A  ▭▭▭▭▭▭──┐                                 ┌─ flights, at most as many as the driver takes
//!   client B  ▭───────┼─ by turns, fair by bytes ──────►│ ▭ ▭ ▭ ▭ ──► driver ──► completions
//!   client C  ▭▭F▭────┘                     flushes ───►│ F
//! ```
//!
//! **Fairness** is a deficit round robin: each client with something to do gets a quantum of bytes in its turn.
//!
//! **Flushes** are barriers of their client: one is passed on when every earlier write of the client has ended, and one
//! command to the disk serves all clients that wait for one then. It is never one that had begun before.
//!
//! **Lateness**: a request that has not ended in time fails. If the driver has it, it is a *stray*: the driver still has its
//! buffer, and the disk may still write. What would meet a stray's sectors waits until it has ended, whichever client asks;
//! so does what a client submits after a cancelled write, and what the next owner of a partition submits.
//!
//! Locks: one, which is taken with the device's held. Completers are called without it.

use super::geometry::Access;
use super::raw::RawDisk;
use super::{Geometry, SectorRange};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hv_core::sync::Mutex;
use hv_core::time::Instant;

mod client;
mod flight;
mod state;
mod turns;
mod window;

pub use window::HostWindow;

use client::{Client, ClientId};
use state::State;

/// Why a part of the host's disk cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenError {
    /// The disk ends before it.
    OutOfRange,
    /// It does not begin and end with a block of the disk.
    Unaligned,
    /// The disk is read-only.
    ReadOnly,
    /// Another client has some of it, and one of them writes.
    InUse,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "the disk ends before the partition does",
            Self::Unaligned => "the partition does not begin and end with a block of the disk",
            Self::ReadOnly => "the disk is read-only",
            Self::InUse => "somebody else has it open",
        })
    }
}

/// What was done with the host's disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HostStatistics {
    /// Commands that were given to the driver.
    pub commands: u64,
    /// Of which flushes.
    pub flushes: u64,
    /// Bytes that were read without an error.
    pub read_bytes: u64,
    /// Bytes that were written without an error.
    pub written_bytes: u64,
    /// Commands that failed.
    pub errors: u64,
    /// Requests that did not end in time.
    pub late: u64,
    /// Commands that the driver has now.
    pub in_flight: usize,
    /// Of which nobody waits for the end any more.
    pub strays: usize,
}

/// What was done with the host's disk for one client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClientStatistics {
    /// Requests that it submitted.
    pub requests: u64,
    /// Of which flushes.
    pub flushes: u64,
    /// Bytes that were read for it without an error.
    pub read_bytes: u64,
    /// Bytes that were written for it without an error.
    pub written_bytes: u64,
    /// Requests that failed, those that were late among them.
    pub errors: u64,
    /// Requests that did not end in time.
    pub late: u64,
    /// The longest that a request took, from when it was first seen waiting. One that ends before that counts as nothing.
    pub longest: Duration,
}

/// The host's disk.
pub struct HostDisk {
    geometry: Geometry,
    bell: Arc<dyn PollBell>,
    state: Mutex<State>,
}

/// Tells whoever polls the host's disk to do so soon. It is rung with a device's lock held, so it only makes a note.
pub trait PollBell: Send + Sync {
    /// Soon, not at once.
    fn ring(&self);
}

impl HostDisk {
    /// Shares the disk behind `driver`. A request that has not ended after `timeout` fails. `bell` is rung when
    /// [`Self::poll`] is wanted earlier than it said.
    #[must_use]
    pub fn new(driver: Box<dyn RawDisk>, timeout: Duration, bell: Arc<dyn PollBell>) -> Arc<Self> {
        let geometry = driver.geometry();
        Arc::new(Self { geometry, bell, state: Mutex::new(State::new(driver, timeout)) })
    }

    /// Gives the driver what was submitted.
    fn start(&self) {
        let wants_poll = {
            let mut state = self.state.lock();
            state.pump();
            state.wants_poll()
        };
        if wants_poll {
            self.bell.ring();
        }
    }

    /// How large the whole disk is, and what it can do.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// A part of the disk, as a disk of its own, until it is dropped.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(
        self: &Arc<Self>,
        range: SectorRange,
        access: Access,
    ) -> Result<HostWindow, OpenError> {
        if !range.is_within(self.geometry.sectors) {
            return Err(OpenError::OutOfRange);
        }
        if !range.is_aligned(self.geometry.block_bytes) {
            return Err(OpenError::Unaligned);
        }
        if access == Access::ReadWrite && self.geometry.access == Access::ReadOnly {
            return Err(OpenError::ReadOnly);
        }
        let client = self.state.lock().open(range, access)?;
        let geometry = Geometry { sectors: range.count(), access, ..self.geometry };
        Ok(HostWindow::new(Arc::clone(self), client, range, geometry))
    }

    /// Takes what the driver has finished, fails what is late, gives the driver more, and then tells the clients. To be
    /// called when the disk interrupts, and at the instant that it returned the last time, [`Instant::NEVER`] if nothing
    /// is waited for.
    pub fn poll(&self, now: Instant) -> Instant {
        // In a statement of its own, so that the lock is free again.
        let (news, next) = self.state.lock().poll(now);
        for (client, news) in news {
            client.hear(news);
        }
        next
    }

    /// What was done with it.
    #[must_use]
    pub fn statistics(&self) -> HostStatistics {
        self.state.lock().statistics()
    }

    /// Who has which part of it open.
    #[must_use]
    pub fn open_ranges(&self) -> Vec<(SectorRange, Access)> {
        self.state.lock().open_ranges()
    }
}

#[cfg(test)]
mod tests;
