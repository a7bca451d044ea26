//! A driver's side of one virtqueue, as the specification tells drivers to do it and Linux does.

use super::ram::TestRam;
use crate::queue::{Chain, QueueConfig, QueueKind};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// Who writes an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The driver: the device reads it.
    ToDevice,
    /// The device.
    FromDevice,
}

/// A piece of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Element {
    /// Where it is.
    pub addr: GuestPhysAddr,
    /// Its bytes.
    pub len: u32,
    /// Who writes it.
    pub direction: Direction,
}

/// How the elements of a buffer are described.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A descriptor of the ring for each.
    Direct,
    /// One descriptor of the ring for a table at this address.
    Indirect(GuestPhysAddr),
}

/// A buffer that came back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Used {
    /// What [`DriverQueue::add`] had called it.
    pub id: u16,
    /// How many bytes the device says that it wrote.
    pub len: u32,
}

/// When the driver wants to be interrupted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Never.
    Never,
    /// As soon as a buffer is used.
    Next,
    /// When this many more are used; the same as `Next` without `VIRTIO_F_EVENT_IDX`. At least 1.
    After(u16),
}

/// Flags of a descriptor.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const AVAILABLE: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// A lent buffer: the descriptors that it occupies (split), and how many those are.
struct Lent {
    descriptors: Vec<u16>,
    count: u16,
}

/// One virtqueue, as its driver sees it.
pub struct DriverQueue {
    /// Where it is, and of what kind.
    pub config: QueueConfig,
    /// Split: descriptors that are free. Packed: identifiers.
    free: Vec<u16>,
    lent: BTreeMap<u16, Lent>,
    /// Split: the available index. Packed: descriptors made available since the beginning.
    available: u64,
    /// Where `available` was at the last question whether to notify.
    told: u64,
    /// Split: the used index. Packed: descriptors that came back since the beginning.
    used: u64,
    /// Descriptors lent, in the order in which they were, to know where the n-th from now is used.
    free_entries: u16,
}

impl DriverQueue {
    /// A queue from `base` on, with `config`'s size and kind.
    #[must_use]
    pub fn new(ram: &TestRam, base: GuestPhysAddr, config: QueueConfig) -> Self {
        let size = u64::from(config.size);
        let driver = (base.0 + 16 * size).next_multiple_of(4);
        let device = (driver + 6 + 2 * size).next_multiple_of(4);
        let config = QueueConfig {
            descriptors: base,
            driver: GuestPhysAddr(driver),
            device: GuestPhysAddr(device),
            ..config
        };
        ram.put(base, &alloc::vec![0; Self::bytes(config.size) as usize]);
        let free = (0..config.size).rev().collect();
        let (lent, free_entries) = (BTreeMap::new(), config.size);
        Self { config, free, lent, available: 0, told: 0, used: 0, free_entries }
    }

    /// The bytes that a queue of `size` takes up.
    #[must_use]
    pub fn bytes(size: u16) -> u64 {
        32 + 26 * u64::from(size)
    }

    /// All bytes of the queue.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        let start = self.config.descriptors.0;
        start..start + Self::bytes(self.config.size)
    }

    /// Lends a buffer to the device; what it is called, or `None` if there is no room.
    pub fn add(&mut self, ram: &TestRam, elements: &[Element], form: Form) -> Option<u16> {
        let count = match form {
            Form::Direct => u16::try_from(elements.len()).ok()?,
            Form::Indirect(_) => 1,
        };
        if elements.is_empty() || count > self.free_entries {
            return None;
        }
        let id = match self.config.kind {
            QueueKind::Split => self.add_split(ram, elements, form),
            QueueKind::Packed => self.add_packed(ram, elements, form),
        };
        self.free_entries -= count;
        Some(id)
    }

    /// How many descriptors are free.
    #[must_use]
    pub fn room(&self) -> u16 {
        self.free_entries
    }

    /// How many buffers are lent.
    #[must_use]
    pub fn lent(&self) -> usize {
        self.lent.len()
    }

    fn add_split(&mut self, ram: &TestRam, elements: &[Element], form: Form) -> u16 {
        let mut descriptors = Vec::new();
        match form {
            Form::Direct => {
                for _ in elements {
                    descriptors.push(self.free.pop().unwrap());
                }
                for (place, element) in elements.iter().enumerate() {
                    let next = descriptors.get(place + 1).copied();
                    let at = self.descriptor(descriptors[place]);
                    put_split(ram, at, *element, next);
                }
            }
            Form::Indirect(table) => {
                for (place, element) in (0u16..).zip(elements) {
                    let is_last = usize::from(place) + 1 == elements.len();
                    let at = GuestPhysAddr(table.0 + 16 * u64::from(place));
                    put_split(ram, at, *element, (!is_last).then_some(place + 1));
                }
                let index = self.free.pop().unwrap();
                descriptors.push(index);
                put_descriptor(
                    ram,
                    self.descriptor(index),
                    table.0,
                    table_len(elements),
                    [INDIRECT, 0],
                );
            }
        }
        let head = descriptors[0];
        self.offer(ram, head);
        let count = descriptors.len() as u16;
        self.lent.insert(head, Lent { descriptors, count });
        head
    }

    /// Split: makes whatever is at descriptor `head` available.
    pub fn offer(&mut self, ram: &TestRam, head: u16) {
        let place = self.available % u64::from(self.config.size);
        ram.put(GuestPhysAddr(self.config.driver.0 + 4 + 2 * place), &head.to_le_bytes());
        self.available += 1;
        let index = self.available as u16;
        ram.put(GuestPhysAddr(self.config.driver.0 + 2), &index.to_le_bytes());
    }

    fn add_packed(&mut self, ram: &TestRam, elements: &[Element], form: Form) -> u16 {
        let id = self.free.pop().unwrap();
        let first = self.available;
        let mut head = None;
        let mut place = |queue: &mut Self, addr, len, flags: u16| {
            let marks = if queue.is_first_lap(queue.available) { AVAILABLE } else { USED };
            let at = queue.descriptor((queue.available % u64::from(queue.config.size)) as u16);
            // The first one's flags come last, and with them everything (2.8.6).
            if queue.available == first {
                head = Some((at, flags | marks));
                put_descriptor(ram, at, addr, len, [id, ram.get_u16(GuestPhysAddr(at.0 + 14))]);
            } else {
                put_descriptor(ram, at, addr, len, [id, flags | marks]);
            }
            queue.available += 1;
        };
        match form {
            Form::Direct => {
                for (index, element) in elements.iter().enumerate() {
                    let next = if index + 1 == elements.len() { 0 } else { NEXT };
                    place(self, element.addr.0, element.len, next | write_flag(*element));
                }
            }
            Form::Indirect(table) => {
                for (index, element) in (0u64..).zip(elements) {
                    let at = GuestPhysAddr(table.0 + 16 * index);
                    put_descriptor(ram, at, element.addr.0, element.len, [0, write_flag(*element)]);
                }
                place(self, table.0, table_len(elements), INDIRECT);
            }
        }
        let (at, flags) = head.unwrap();
        ram.put(GuestPhysAddr(at.0 + 14), &flags.to_le_bytes());
        let count = (self.available - first) as u16;
        self.lent.insert(id, Lent { descriptors: Vec::new(), count });
        id
    }

    /// Whether the device asked to be notified of what was added since this was asked last.
    pub fn must_notify(&mut self, ram: &TestRam) -> bool {
        let told = core::mem::replace(&mut self.told, self.available);
        if told == self.available {
            return false;
        }
        let size = u64::from(self.config.size);
        let device = self.config.device;
        match self.config.kind {
            QueueKind::Split if self.config.event_index => {
                let event = ram.get_u16(GuestPhysAddr(device.0 + 4 + 8 * size));
                let new = self.available as u16;
                new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(told as u16)
            }
            QueueKind::Split => ram.get_u16(device) & 1 == 0,
            QueueKind::Packed => match ram.get_u16(GuestPhysAddr(device.0 + 2)) & 3 {
                0 => true,
                2 => {
                    let wish = ram.get_u16(device);
                    (told..self.available).any(|place| self.name(place) == wish)
                }
                _ => false,
            },
        }
    }

    /// Takes a buffer back.
    ///
    /// # Panics
    ///
    /// The device gave back what was not lent.
    pub fn take_used(&mut self, ram: &TestRam) -> Option<Used> {
        let size = u64::from(self.config.size);
        let device = self.config.device;
        let used = match self.config.kind {
            QueueKind::Split => {
                if ram.get_u16(GuestPhysAddr(device.0 + 2)) == self.used as u16 {
                    return None;
                }
                let entry = ram.bytes(GuestPhysAddr(device.0 + 4 + 8 * (self.used % size)), 8);
                let value = u64::from_le_bytes(entry.try_into().unwrap());
                Used { id: u16::try_from(value as u32).unwrap(), len: (value >> 32) as u32 }
            }
            QueueKind::Packed => {
                let at = self.descriptor((self.used % size) as u16);
                let entry = ram.bytes(at, 16);
                let value = u128::from_le_bytes(entry.try_into().unwrap());
                let flags = (value >> 112) as u16;
                let wanted = if self.is_first_lap(self.used) { AVAILABLE | USED } else { 0 };
                if flags & (AVAILABLE | USED) != wanted {
                    return None;
                }
                let len = if flags & WRITE == 0 { 0 } else { (value >> 64) as u32 };
                Used { id: (value >> 96) as u16, len }
            }
        };
        let lent = self.lent.remove(&used.id).expect("the device used what was not lent");
        self.free_entries += lent.count;
        match self.config.kind {
            QueueKind::Split => {
                self.used += 1;
                self.free.extend(lent.descriptors);
            }
            QueueKind::Packed => {
                self.used += u64::from(lent.count);
                self.free.push(used.id);
            }
        }
        Some(used)
    }

    /// Says when the driver wants to be interrupted. What is used already does not count: look after it.
    pub fn wish(&self, ram: &TestRam, wish: Wish) {
        let driver = self.config.driver;
        let after = match wish {
            Wish::Never => {
                let flags_at = match self.config.kind {
                    QueueKind::Split => driver,
                    QueueKind::Packed => GuestPhysAddr(driver.0 + 2),
                };
                ram.put(flags_at, &1u16.to_le_bytes());
                if self.config.kind == QueueKind::Split && self.config.event_index {
                    // Linux leaves the index behind, too.
                    self.put_used_event(ram, (self.used as u16).wrapping_sub(1));
                }
                return;
            }
            Wish::Next => 1,
            Wish::After(count) => count.max(1),
        };
        match self.config.kind {
            QueueKind::Split => {
                ram.put(driver, &0u16.to_le_bytes());
                if self.config.event_index {
                    self.put_used_event(ram, (self.used as u16).wrapping_add(after - 1));
                }
            }
            QueueKind::Packed if self.config.event_index => {
                let place = self.used + u64::from(after - 1);
                ram.put(driver, &self.name(place).to_le_bytes());
                ram.put(GuestPhysAddr(driver.0 + 2), &2u16.to_le_bytes());
            }
            QueueKind::Packed => ram.put(GuestPhysAddr(driver.0 + 2), &0u16.to_le_bytes()),
        }
    }

    fn put_used_event(&self, ram: &TestRam, event: u16) {
        let offset = 4 + 2 * u64::from(self.config.size);
        ram.put(GuestPhysAddr(self.config.driver.0 + offset), &event.to_le_bytes());
    }

    /// Where descriptor `index` is.
    #[must_use]
    pub fn descriptor(&self, index: u16) -> GuestPhysAddr {
        GuestPhysAddr(self.config.descriptors.0 + 16 * u64::from(index))
    }

    /// Whether the wrap counter is 1 at a place.
    fn is_first_lap(&self, place: u64) -> bool {
        (place / u64::from(self.config.size)).is_multiple_of(2)
    }

    /// A place as event suppression names it.
    fn name(&self, place: u64) -> u16 {
        let offset = (place % u64::from(self.config.size)) as u16;
        if self.is_first_lap(place) { offset | 1 << 15 } else { offset }
    }
}

/// Whether the device saw in `chain` what the driver had described.
#[must_use]
pub fn matches(chain: &Chain, elements: &[Element]) -> bool {
    let of = |direction| {
        elements
            .iter()
            .filter(move |element| element.direction == direction)
            .map(|element| (element.addr, element.len))
    };
    let readable = chain.readable().iter().map(|segment| (segment.addr, segment.len));
    let writable = chain.writable().iter().map(|segment| (segment.addr, segment.len));
    of(Direction::ToDevice).eq(readable) && of(Direction::FromDevice).eq(writable)
}

/// Writes a descriptor: its last two fields in the order in which they lie.
pub fn put_descriptor(
    ram: &dyn GuestMemory,
    at: GuestPhysAddr,
    addr: u64,
    len: u32,
    last: [u16; 2],
) {
    let [third, fourth] = last.map(u128::from);
    let value = u128::from(addr) | u128::from(len) << 64 | third << 96 | fourth << 112;
    ram.write(at, &value.to_le_bytes()).unwrap();
}

fn put_split(ram: &TestRam, at: GuestPhysAddr, element: Element, next: Option<u16>) {
    let flags = write_flag(element) | if next.is_some() { NEXT } else { 0 };
    put_descriptor(ram, at, element.addr.0, element.len, [flags, next.unwrap_or(0)]);
}

fn write_flag(element: Element) -> u16 {
    match element.direction {
        Direction::ToDevice => 0,
        Direction::FromDevice => WRITE,
    }
}

fn table_len(elements: &[Element]) -> u32 {
    16 * elements.len() as u32
}
