//! What happened to one device since its machine was made, for `vm info`. It survives resets.

use crate::fault::Fault;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Counters of one device, which may be read at any time and without its lock.
///
/// All orderings are relaxed: each counter stands for itself.
#[derive(Debug, Default)]
pub struct Record {
    faults: [AtomicU32; Fault::ALL.len()],
    notifications: AtomicU64,
    interrupts: AtomicU64,
}

impl Record {
    /// How often each fault put the device into `DEVICE_NEEDS_RESET`; those that never happened are left out.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u32)> {
        let counts = self.faults.iter().map(|count| count.load(Ordering::Relaxed));
        Fault::ALL.iter().copied().zip(counts).filter(|(_, count)| *count != 0)
    }

    /// How often the driver notified the device.
    pub fn notifications(&self) -> u64 {
        self.notifications.load(Ordering::Relaxed)
    }

    /// How often the device interrupted the driver.
    pub fn interrupts(&self) -> u64 {
        self.interrupts.load(Ordering::Relaxed)
    }

    pub(crate) fn count_fault(&self, fault: Fault) {
        if let Some(count) = self.faults.get(fault as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_notification(&self) {
        self.notifications.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_interrupt(&self) {
        self.interrupts.fetch_add(1, Ordering::Relaxed);
    }
}
