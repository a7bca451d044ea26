//! The packed layout (2.8): one ring of descriptors, which the device overwrites with what it has used.

use super::chain::Chain;
use super::descriptor::{Descriptor, flag};
use super::ring::{self, Areas};
use super::walk::{self, Table};
use crate::fault::Fault;
use core::sync::atomic::{Ordering, fence};
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// Offsets in a descriptor.
const LENGTH: u64 = 8;
const FLAGS: u64 = 14;
/// Offsets in an event suppression structure (2.8.14).
const EVENT_OFFSET: u64 = 0;
const EVENT_FLAGS: u64 = 2;

/// `RING_EVENT_FLAGS_*` (2.8.10).
mod event {
    pub(super) const ENABLE: u16 = 0;
    pub(super) const DISABLE: u16 = 1;
    pub(super) const DESCRIPTOR: u16 = 2;
    /// The bits that have a meaning.
    pub(super) const MASK: u16 = 3;
    /// The bit of the wrap counter beside the offset.
    pub(super) const WRAP: u16 = 1 << 15;
}

/// A place in the ring: how many entries were passed since the beginning.
///
/// The wrap counter, which starts at 1 and is inverted by each lap, follows from it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
struct Place(u64);

impl Place {
    fn index(self, size: u16) -> u16 {
        (self.0 % u64::from(size)) as u16
    }

    fn wrap(self, size: u16) -> bool {
        (self.0 / u64::from(size)).is_multiple_of(2)
    }
}

pub(super) struct Packed {
    areas: Areas,
    /// The next descriptor that the driver will make available.
    next: Place,
    /// Where the next used descriptor will be written.
    used: Place,
    /// `used` at the last question whether to interrupt.
    told: Place,
    notifications: u16,
}

impl Packed {
    pub(super) fn new(areas: Areas) -> Self {
        let zero = Place::default();
        Self { areas, next: zero, used: zero, told: zero, notifications: event::ENABLE }
    }

    pub(super) fn pop(
        &mut self,
        memory: &dyn GuestMemory,
        chain: &mut Chain,
    ) -> Result<bool, Fault> {
        let size = self.areas.size;
        let flags_at = self.areas.descriptor(self.next.index(size)).0.wrapping_add(FLAGS);
        let flags = ring::read_u16(memory, GuestPhysAddr(flags_at))?;
        let wrap = self.next.wrap(size);
        // Available: one flag as the wrap counter, the other not (2.8.1).
        if (flags & flag::AVAILABLE != 0) != wrap || (flags & flag::USED != 0) == wrap {
            return Ok(false);
        }
        // Acquire: what the flags promise is read after the flags.
        fence(Ordering::Acquire);
        let (id, entries) = self.collect(memory, chain)?;
        walk::finish(chain)?;
        chain.identify(id, entries);
        self.next.0 += u64::from(entries);
        Ok(true)
    }

    /// Collects the segments of the list at `next`; its identifier, and how many entries it has.
    fn collect(&self, memory: &dyn GuestMemory, chain: &mut Chain) -> Result<(u16, u16), Fault> {
        let size = self.areas.size;
        // What is lent occupies the ring; a list that reaches into it loops.
        let lent = self.next.0 - self.used.0;
        let free = u64::from(size).saturating_sub(lent) as u16;
        if free == 0 {
            return Err(Fault::TooManyBuffers);
        }
        for entries in 1..=free {
            let place = Place(self.next.0 + u64::from(entries) - 1);
            let bytes = ring::read(memory, self.areas.descriptor(place.index(size)))?;
            let descriptor = Descriptor::packed(bytes);
            if descriptor.has(flag::INDIRECT) {
                if entries > 1 {
                    return Err(Fault::IndirectChained);
                }
                let table = Table::of(memory, &self.areas, descriptor)?;
                for index in 0..table.len {
                    // All flags but one are ignored in a table (2.8.7).
                    let descriptor = Descriptor::packed(table.read(memory, index)?);
                    walk::add(memory, &self.areas, chain, descriptor)?;
                }
                return Ok((descriptor.link, 1));
            }
            walk::add(memory, &self.areas, chain, descriptor)?;
            if !descriptor.has(flag::NEXT) {
                // The identifier is in the last one (2.8.6).
                return Ok((descriptor.link, entries));
            }
        }
        Err(Fault::ChainLength)
    }

    /// Gives chains back, each with the number of bytes written. The flags of the first one come last: the driver, which looks
    /// at one after the other, sees none before it sees that one.
    pub(super) fn push(
        &mut self,
        memory: &dyn GuestMemory,
        chains: &[(Chain, u32)],
    ) -> Result<(), Fault> {
        let first = self.used;
        for (chain, written) in chains {
            let [a, b, c, d] = written.to_le_bytes();
            let [e, f] = chain.id().to_le_bytes();
            ring::write(memory, self.field(self.used, LENGTH), &[a, b, c, d, e, f])?;
            if self.used.0 != first.0 {
                let flags = self.used_flags(self.used, *written);
                ring::write_u16(memory, self.field(self.used, FLAGS), flags)?;
            }
            self.used.0 += u64::from(chain.entries());
        }
        let Some((_, written)) = chains.first() else { return Ok(()) };
        // Release: the buffers and the other fields are there before the flags say so (2.8.1).
        fence(Ordering::Release);
        ring::write_u16(memory, self.field(first, FLAGS), self.used_flags(first, *written))
    }

    /// The address of a field of the descriptor at `place`.
    fn field(&self, place: Place, offset: u64) -> GuestPhysAddr {
        let addr = self.areas.descriptor(place.index(self.areas.size));
        GuestPhysAddr(addr.0.wrapping_add(offset))
    }

    /// The flags of a descriptor that is used (2.8.1, 2.8.4).
    fn used_flags(&self, place: Place, written: u32) -> u16 {
        let used = if place.wrap(self.areas.size) { flag::AVAILABLE | flag::USED } else { 0 };
        if written != 0 { used | flag::WRITE } else { used }
    }

    pub(super) fn needs_interrupt(&mut self, memory: &dyn GuestMemory) -> Result<bool, Fault> {
        let told = core::mem::replace(&mut self.told, self.used);
        if told == self.used {
            return Ok(false);
        }
        // SeqCst: the descriptors are written before the driver's wish is read (2.8.22).
        fence(Ordering::SeqCst);
        let flags = ring::read_u16(memory, self.areas.driver(EVENT_FLAGS))? & event::MASK;
        if flags != event::DESCRIPTOR || !self.areas.event_index {
            return Ok(flags != event::DISABLE);
        }
        let wish = ring::read_u16(memory, self.areas.driver(EVENT_OFFSET))?;
        Ok(self.has_passed(told, wish))
    }

    /// Whether the descriptor of `wish` is among those between `told` and `used`.
    fn has_passed(&self, told: Place, wish: u16) -> bool {
        let size = u64::from(self.areas.size);
        if self.used.0 - told.0 >= size {
            return true;
        }
        let lap = self.used.0 / size * size;
        let offset = u64::from(wish & !event::WRAP);
        let is_this_lap = (wish & event::WRAP != 0) == self.used.wrap(self.areas.size);
        // Of the other parity is the lap before, or the one that has not begun.
        let lap = if is_this_lap { Some(lap) } else { lap.checked_sub(size) };
        lap.is_some_and(|lap| (told.0..self.used.0).contains(&(lap + offset)))
    }

    pub(super) fn enable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        let size = self.areas.size;
        let wanted = if self.areas.event_index {
            let wrap = if self.next.wrap(size) { event::WRAP } else { 0 };
            let place = self.next.index(size) | wrap;
            ring::write_u16(memory, self.areas.device(EVENT_OFFSET), place)?;
            // Release: the flags refer to the offset.
            fence(Ordering::Release);
            event::DESCRIPTOR
        } else {
            event::ENABLE
        };
        self.tell(memory, wanted)?;
        // SeqCst: the wish is written before the driver's descriptor is read once more.
        fence(Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn disable_notifications(&mut self, memory: &dyn GuestMemory) -> Result<(), Fault> {
        self.tell(memory, event::DISABLE)
    }

    fn tell(&mut self, memory: &dyn GuestMemory, flags: u16) -> Result<(), Fault> {
        if self.notifications != flags {
            self.notifications = flags;
            ring::write_u16(memory, self.areas.device(EVENT_FLAGS), flags)?;
        }
        Ok(())
    }
}
