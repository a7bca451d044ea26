//! What a card has done since its machine was made, for `vm info`. It survives resets.

use super::header::Refused;
use core::sync::atomic::{AtomicU64, Ordering};

/// Counters, which may be read at any time and without the device's lock.
///
/// All orderings are relaxed: each counter stands for itself.
#[derive(Debug, Default)]
pub struct Statistics {
    refused: [AtomicU64; Refused::ALL.len()],
    commands_refused: AtomicU64,
    no_room: AtomicU64,
}

impl Statistics {
    /// Frames of the guest that were not sent, and why; what never happened is left out.
    pub fn refused(&self) -> impl Iterator<Item = (Refused, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Ordering::Relaxed));
        Refused::ALL.iter().copied().zip(counts).filter(|(_, count)| *count != 0)
    }

    /// Commands of the control queue that were refused.
    pub fn commands_refused(&self) -> u64 {
        self.commands_refused.load(Ordering::Relaxed)
    }

    /// Frames that were longer than the buffers that the guest had for them.
    pub fn no_room(&self) -> u64 {
        self.no_room.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, why: Refused) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refuse_command(&self) {
        self.commands_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn find_no_room(&self) {
        self.no_room.fetch_add(1, Ordering::Relaxed);
    }
}
