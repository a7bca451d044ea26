//! Disks of a VM that come and go while it runs.

use super::{HostVm, Message, Services, refused};
use crate::bundles::{Opened, Origin, Shelf};
use crate::disks;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use shell::error::Error;
use shell::host::{AttachRequest, DiskSlotState, DiskSlotSummary, JobId, VmId};
use vm_manager::config::{Backing, DiskAccess};
use vm_manager::plug::disk::{DiskSlot, Insert, Stay};

/// How long what a guest has begun is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often is looked whether that has ended.
const INTERVAL: Duration = Duration::from_millis(5);

/// A disk that is about to go.
pub(super) struct Departure {
    job: u64,
    /// Weak: it must not keep what a VM has that is destroyed meanwhile.
    slot: Weak<dyn DiskSlot>,
    deadline: Instant,
    /// Which disk, for messages.
    title: String,
    /// Whether nobody waits for what is to be said.
    is_abandoned: bool,
}

impl Departure {
    /// Whether it is what this job does.
    pub(super) fn is_of(&self, job: JobId) -> bool {
        self.job == job.0
    }

    /// Nobody waits for its end any more.
    pub(super) fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    /// What it is called while it lasts.
    pub(super) fn what(&self) -> String {
        format!("waiting for the requests to {}", self.title)
    }

    /// Takes the disk out, if it is time to do so, and says what is to be said.
    fn end(&self, now: Instant) -> Option<String> {
        let title = &self.title;
        let Some(slot) = self.slot.upgrade() else {
            return Some(format!("{title} went with its VM"));
        };
        let is_released = slot.is_released();
        if !is_released && now < self.deadline {
            return None;
        }
        slot.eject();
        Some(if is_released {
            format!("{title} detached")
        } else {
            let seconds = PATIENCE.as_secs();
            format!("{title} detached; requests that had not ended after {seconds} s have failed")
        })
    }
}

pub(super) fn summaries(vm: &HostVm) -> Vec<DiskSlotSummary> {
    vm.disks().enumerate().map(|(index, slot)| summary(index, &*slot)).collect()
}

fn summary(index: usize, slot: &dyn DiskSlot) -> DiskSlotSummary {
    let (content, counts) = (slot.content(), slot.counts());
    let state = content.as_ref().map_or(DiskSlotState::Empty, |content| match content.stay {
        Stay::Stays => DiskSlotState::Attached,
        Stay::Leaves => DiskSlotState::Detaching,
    });
    let is_read_only =
        content.as_ref().is_some_and(|content| content.access == DiskAccess::ReadOnly);
    DiskSlotSummary {
        slot: disks::name(index),
        size_bytes: content.as_ref().map_or(0, |content| content.bytes),
        backing: content.map(|content| format!("{}", content.backing)),
        state,
        is_read_only,
        reads: counts.reads,
        writes: counts.writes,
        flushes: counts.flushes,
        discards: counts.discards,
        read_bytes: counts.read_bytes,
        written_bytes: counts.written_bytes,
        errors: counts.errors,
    }
}

impl Services {
    pub(super) fn attach_disk(
        &mut self,
        id: VmId,
        request: &AttachRequest,
    ) -> Result<DiskSlotSummary, Error> {
        let vm = self.vm(id)?;
        let backing = Backing::parse(&request.backing).map_err(Error::new)?;
        let (index, slot) = match &request.slot {
            Some(name) => find(vm, name)?,
            None => empty(vm)?,
        };
        let access =
            if request.is_read_only { DiskAccess::ReadOnly } else { DiskAccess::ReadWrite };
        let (opened, origin) = (Opened::default(), Origin::Initrd);
        let images = Shelf { bundles: &self.bundles, origin, opened: &opened, user: vm.name() };
        let insert = Insert { backing: &backing, access, images: &images, user: vm.name() };
        slot.attach(&insert).map_err(|problem| {
            Error::new(format!("{}, {}: {problem}", vm.title(), disks::name(index)))
        })?;
        Ok(summary(index, &*slot))
    }

    pub(super) fn begin_detach(&mut self, id: VmId, name: &str) -> Result<JobId, Error> {
        let vm = self.manager.vm(id.0).map_err(refused)?;
        let (_, slot) = find(vm, name)?;
        let title = format!("{}, {name}", vm.title());
        if slot.content().is_some_and(|content| content.stay == Stay::Leaves) {
            return Err(Error::new(format!("{title}: that disk is being detached already")));
        }
        slot.release().map_err(|problem| Error::new(format!("{title}: {problem}")))?;
        let job = self.new_instant_job();
        let deadline = host::now() + PATIENCE;
        let slot = Arc::downgrade(&slot);
        let departure = Departure { job: job.0, slot, deadline, title, is_abandoned: false };
        self.departures.push(departure);
        self.see_off(host::now());
        Ok(job)
    }

    /// Lets disks go that nobody waits for any more. Returns when to look again.
    pub(super) fn see_off(&mut self, now: Instant) -> Instant {
        let Self { departures, messages, .. } = self;
        departures.retain(|departure| match departure.end(now) {
            Some(message) => {
                if !departure.is_abandoned {
                    messages.insert(departure.job, Message::Now(Ok(message)));
                }
                false
            }
            None => true,
        });
        if departures.is_empty() { Instant::NEVER } else { now + INTERVAL }
    }
}

fn find(vm: &HostVm, name: &str) -> Result<(usize, Arc<dyn DiskSlot>), Error> {
    let mut slots = vm.disks().enumerate();
    let found = slots.find(|(index, _)| disks::name(*index) == name);
    found.ok_or_else(|| {
        let names: Vec<_> = vm.disks().enumerate().map(|(index, _)| disks::name(index)).collect();
        let there = if names.is_empty() { "no disks".into() } else { names.join(", ") };
        Error::new(format!("no disk '{}': {} has {there}", name.escape_debug(), vm.title()))
    })
}

fn empty(vm: &HostVm) -> Result<(usize, Arc<dyn DiskSlot>), Error> {
    let mut slots = vm.disks().enumerate();
    let found = slots.find(|(_, slot)| slot.content().is_none());
    found.ok_or_else(|| {
        Error::new(format!(
            "{} has no empty slot for a disk: [[disk]] with backing = \"none\" makes one, and 'vm disk detach' empties one",
            vm.title()
        ))
    })
}
