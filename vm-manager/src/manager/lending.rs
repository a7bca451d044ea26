//! Memory that guests lend: how much they shall, and taking what they do.
//!
//! A page that a guest lends is taken out of its tables while none of its vCPUs is loaded, so that no CPU knows of it when it
//! is somebody else's. That takes the guest some microseconds, for a few MiB at a time.

use super::Manager;
use crate::error::Error;
use crate::platform::{Platform, Ram};
use crate::vm::{Rest, Vm, VmState};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;
use hv_core::ram::RamError;
use hv_core::time::Instant;

/// Between two collections, for the guests to do something else.
const PAUSE: Duration = Duration::from_millis(2);
/// Between two attempts to give guests what they want back.
const RETRY: Duration = Duration::from_millis(250);

/// How far the collection of lent pages is.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// The VM whose vCPUs are asked to rest.
    under_way: Option<u32>,
    /// The VM whose turn was last.
    last: u32,
    not_before: Instant,
    retried_at: Instant,
}

impl<P: Platform> Manager<P> {
    /// Has a VM keep `bytes` of its memory, and lend the rest. It does so in its own time.
    ///
    /// # Errors
    ///
    /// It has no balloon, or never had so much, or there is no memory to give back.
    pub fn set_memory(&mut self, id: u32, bytes: u64) -> Result<(), Error> {
        let vm = self.vm(id)?;
        let refused = |why: String| Error::Lending { vm: vm.title(), why };
        let Some(balloon) = vm.balloon() else {
            let why = "has no balloon: 'balloon = true' in its configuration gives it one";
            return Err(refused(why.into()));
        };
        let most = vm.config().memory_bytes;
        if bytes == 0 || bytes > most {
            return Err(refused(format!("can have up to {} MiB of memory", most >> 20)));
        }
        let gone = vm.ram().lent().1;
        let wanted = gone.saturating_sub(most - bytes);
        let free = self.shared.platform().available();
        if wanted > free {
            let cause = RamError::NoMemory { wanted, free };
            return Err(Error::Memory { name: vm.name().into(), cause });
        }
        balloon.set_target(most - bytes);
        Ok(())
    }

    /// Takes some of what guests lend. Returns when it wants to be called again.
    pub(super) fn collect_lent(&mut self, now: Instant) -> Instant {
        let retry = self.give_back(now);
        let Some(vm) = self.next_to_collect() else {
            self.collection.under_way = None;
            return retry;
        };
        if self.collection.under_way.is_none() && now < self.collection.not_before {
            return retry.min(self.collection.not_before);
        }
        if vm.quiesce() != Rest::Home {
            self.collection.under_way = Some(vm.id());
            return now;
        }
        vm.ram().collect();
        // Paused meanwhile, it stays so.
        if vm.state() == VmState::Running {
            vm.release();
        }
        self.collection.under_way = None;
        self.collection.last = vm.id();
        self.collection.not_before = now + PAUSE;
        self.collection.not_before
    }

    /// The VM that is asked to rest, or the next one with something to take: one after the other.
    fn next_to_collect(&self) -> Option<Arc<Vm<P>>> {
        let Collection { under_way, last, .. } = self.collection;
        let is_ready = |vm: &&Arc<Vm<P>>| {
            matches!(vm.state(), VmState::Running | VmState::Paused)
                && (under_way == Some(vm.id()) || vm.ram().lent().0 > 0)
                && !self.is_changing(vm.id())
        };
        let find = |ids: core::ops::RangeInclusive<u32>| {
            self.vms.range(ids).map(|(_, vm)| vm).find(is_ready).map(Arc::clone)
        };
        match under_way {
            Some(id) => find(id..=id),
            None => find(last.saturating_add(1)..=u32::MAX).or_else(|| find(0..=last)),
        }
    }

    /// Whether a job that has its vCPUs rest is under way.
    fn is_changing(&self, id: u32) -> bool {
        self.jobs.values().any(|job| job.vm_id() == id && !job.waits_for_guest())
    }

    /// Lets balloons try again that had no memory to give back with.
    fn give_back(&mut self, now: Instant) -> Instant {
        let waits = |balloon: &&dyn crate::plug::Balloon| balloon.waits_for_memory();
        let mut balloons = self.vms.values().filter_map(|vm| vm.balloon()).filter(waits).peekable();
        if balloons.peek().is_none() {
            return Instant::NEVER;
        }
        if now.since(self.collection.retried_at) >= RETRY {
            balloons.for_each(|balloon| balloon.retry());
            self.collection.retried_at = now;
        }
        self.collection.retried_at + RETRY
    }
}
