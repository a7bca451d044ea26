//! The split layout (2.7): a descriptor table, the driver's available ring and the device's used ring.

use super::chain::Chain;
use super::descriptor::{Descriptor, flag};
use super::ring::{self, Areas};
use super::walk::{self, Table};
use crate::fault::Fault;
use core::num::Wrapping;
use core::sync::atomic::{Ordering, fence};
use hv_core::guest::GuestMemory;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const NO_INTERRUPT: u16 = 1;
/// `VIRTQ_USED_F_NO_NOTIFY`.
const NO_NOTIFY: u16 = 1;

/// Offsets in both rings.
const FLAGS: u64 = 0;
const INDEX: u64 = 2;
const ENTRIES: u64 = 4;
/// Bytes of an entry.
const AVAILABLE_ENTRY: u64 = 2;
const USED_ENTRY: u64 = 8;

pub(super) struct Split {
    areas: Areas,
    /// The next entry of the available ring.
    next: Wrapping<u16>,
    /// The driver's index, when it was read last: what is before it is available.
    available: Wrapping<u16>,
    /// The next entry of the used ring.
    used: Wrapping<u16>,
    /// The used index at the last question whether to interrupt.
    told: Wrapping<u16>,
    /// Chains that were taken and not given back.
    lent: u16,
    notifications: Notifications,
}

/// What the driver was told last.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Notifications {
    Wanted,
    Unwanted,
}

impl Split {
    pub(super) fn new(areas: Areas) -> Self {
        let zero = Wrapping(0);
        let notifications = Notifications::Wanted;
        Self { areas, next: zero, available: zero, used: zero, told: zero, lent: 0, notifications }
    }

    pub(super) fn pop(
        &mut self,
        memory: &dyn GuestMemory,
        chain: &mut Chain,
    ) -> Result<bool, Fault> {
        if self.next == self.available && !self.look(memory)? {
            return Ok(false);
        }
        if self.lent >= self.areas.size {
            return Err(Fault::TooManyBuffers);
        }
        let entry = ENTRIES + AVAILABLE_ENTRY * u64::from(self.next.0 % self.areas.size);
        let head = ring::read_u16(memory, self.areas.driver(entry))?;
        self.collect(memory, head, chain)?;
        walk::finish(chain)?;
        chain.identify(head, 1);
        self.next += 1;
        self.lent += 1;
        Ok(true)
    }

    /// Reads the driver's index; whether something is available.
    fn look(&mut self, memory: &dyn GuestMemory) -> Result<bool, Fault> {
        let available = Wrapping(ring::read_u16(memory, self.areas.driver(INDEX))?);
        if (available - self.next).0 > self.areas.size {
            return Err(Fault::AvailableIndex);
        }
        // Acquire: what the index promises is read after the index (2.7.13.3.1).
        fence(Ordering::Acquire);
        self.available = available;
        Ok(available != self.next)
    }

    fn collect(&self, memory: &dyn GuestMemory, head: u16, chain: &mut Chain) -> Result<(), Fault> {
        let mut index = head;
        // A chain that has no loop visits each descriptor once at most.
        for _ in 0..self.areas.size {
            if index >= self.areas.size {
                return Err(Fault::DescriptorIndex);
            }
            let bytes = ring::read(memory, self.areas.descriptor(index))?;
            let descriptor = Descriptor::split(bytes);
            if descriptor.has(flag::INDIRECT) {
                let table = Table::of(memory, &self.areas, descriptor)?;
                return self.collect_table(memory, &table, chain);
            }
            walk::add(memory, &self.areas, chain, descriptor)?;
            if !descriptor.has(flag::NEXT) {
                return Ok(());
            }
            index = descriptor.link;
        }
        Err(Fault::ChainLength)
    }

    fn collect_table(
        &self,
        memory: &dyn GuestMemory,
        table: &Table,
        chain: &mut Chain,
    ) -> Result<(), Fault> {
        let mut index = 0;
        // `walk::add` ends it after MAX_SEGMENTS if the table is longer.
        for _ in 0..table.len {
            if index >= table.len {
                return Err(Fault::DescriptorIndex);
            }
            let descriptor = Descriptor::split(table.read(memory, index)?);
            if descriptor.has(flag::INDIRECT) {
                return Err(Fault::IndirectNested);
            }
            walk::add(memory, &self.areas, chain, descriptor)?;
            if !descriptor.has(flag::NEXT) {
                return Ok(());
            }
            index = u32::from(descriptor.link);
        }
        Err(Fault::ChainLength)
    }

    /// Gives chains back, each with the number of bytes written, and then says so of all of them.
    pub(super) fn push(
        &mut self,
        memory: &dyn GuestMemory,
        chains: &[(Chain, u32)],
    ) -> Result<(), Fault> {
        if chains.is_empty() {
            return Ok(());
        }
        for (chain, written) in chains {
            let entry = ENTRIES + USED_ENTRY * u64::from(self.used.0 % self.areas.size);
            let value = u64::from(chain.id()) | u64::from(*written) << 32;
            ring::write(memory, self.areas.device(entry), &value.to_le_bytes())?;
            self.used += 1;
            self.lent = self.lent.saturating_sub(1);
        }
        // Release: the buffers and the entries are there before the index says so (2.7.8.2).
        fence(Ordering::Release);
        ring::write_u16(memory, self.areas.device(INDEX), self.used.0)
    }

    pub(super) fn needs_interrupt(&mut self, memory: &dyn GuestMemory) -> Result<bool, Fault> {
        let told = core::mem::replace(&mut self.told, self.used);
        if told == self.used {
            return Ok(false);
        }
        // SeqCst: the index is written before the driver's wish is read, which the driver does the other way
        // round (2.7.7.2).
        fence(Ordering::SeqCst);
        if !self.areas.event_index {
            let flags = ring::read_u16(memory, self.areas.driver(FLAGS))?;
            return Ok(flags & NO_INTERRUPT == 0);
        }
        let event = ENTRIES + AVAILABLE_ENTRY * u64::from(self.areas.size);
        let event = Wrapping(ring::read_u16(memory, self.areas.driver(event))?);
        Ok(self.used - event - Wrapping(1) < self.used - told)
    }

    pub(super) fn enable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        if self.areas.event_index {
            let event = ENTRIES + USED_ENTRY * u64::from(self.areas.size);
            ring::write_u16(memory, self.areas.device(event), self.next.0)?;
        } else if self.notifications == Notifications::Unwanted {
            ring::write_u16(memory, self.areas.device(FLAGS), 0)?;
        }
        self.notifications = Notifications::Wanted;
        // SeqCst: the wish is written before the driver's index is read once more.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// With `VIRTIO_F_EVENT_IDX` an event index that stays behind does it (2.7.10.2).
    pub(super) fn disable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        if !self.areas.event_index && self.notifications == Notifications::Wanted {
            self.notifications = Notifications::Unwanted;
            ring::write_u16(memory, self.areas.device(FLAGS), NO_NOTIFY)?;
        }
        Ok(())
    }
}
