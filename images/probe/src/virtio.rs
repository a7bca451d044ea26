//! A driver of one queue of a virtio device over MMIO, version 2 (virtio 1.2, 4.2), that does as it is told: right or
//! wrong.

pub(crate) mod register;

use core::sync::atomic::{Ordering, fence};

use guest::board::{Board, Range};
use guest::mmio::Registers;
use guest::{ram, trap};

use crate::arch;
use crate::report::{Outcome, check, wait};

/// Bits of the status (2.1).
pub(crate) mod status {
    /// ACKNOWLEDGE and DRIVER.
    pub(crate) const BEGUN: u32 = 1 | 2;
    pub(crate) const DRIVER_OK: u32 = 4;
    pub(crate) const FEATURES_OK: u32 = 8;
    pub(crate) const NEEDS_RESET: u32 = 64;
}

/// Flags of descriptors (2.7.5).
pub(crate) mod flag {
    pub(crate) const NEXT: u16 = 1;
    pub(crate) const WRITE: u16 = 2;
    pub(crate) const INDIRECT: u16 = 4;
    /// In a packed queue's first lap: it is available (2.8.1).
    pub(super) const AVAILABLE: u16 = 1 << 7;
    /// And it is used.
    pub(super) const USED: u16 = 1 << 15;
}

/// Low half of the features: `VIRTIO_F_INDIRECT_DESC`.
const INDIRECT: u32 = 1 << 28;
/// High half: `VIRTIO_F_VERSION_1`.
const VERSION_1: u32 = 1;
/// High half: `VIRTIO_F_RING_PACKED`.
const RING_PACKED: u32 = 1 << 2;
/// `InterruptStatus`: the configuration has changed, or the device needs a reset.
const CONFIGURATION: u32 = 2;

/// Where the areas of the queue are in their page.
const AVAILABLE_OFFSET: usize = 0x100;
const USED_OFFSET: usize = 0x200;
/// The index in either ring, behind the flags.
const INDEX: usize = 2;
/// The entries of either ring.
const ENTRIES: usize = 4;

/// Where virtio devices may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) first: usize,
    pub(crate) step: usize,
    pub(crate) count: usize,
}

/// A descriptor (2.7.5).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptor {
    pub(crate) address: u64,
    pub(crate) length: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

/// A device with a queue, and memory for both.
pub(crate) struct Driver {
    /// The device.
    pub(crate) registers: Registers,
    /// Which queue.
    queue: u32,
    /// Low half of the features that the tests need, beside `VIRTIO_F_INDIRECT_DESC`.
    pub(crate) features: u32,
    /// A page with the queue's areas.
    rings: Registers,
    /// A page for what descriptors point to.
    pub(crate) data: Registers,
    /// A page for an indirect table.
    pub(crate) table: Registers,
    /// The machine's RAM.
    pub(crate) ram: Range,
}

impl Driver {
    /// Entries of its queue.
    pub(crate) const SIZE: u16 = 8;

    /// The driver of queue `queue` of the first device of this kind, if there is one.
    pub(crate) fn find(board: &'static Board, device_id: u32, queue: u32) -> Option<Self> {
        let Slots { first, step, count } = arch::VIRTIO;
        let registers = (0..count).map(|slot| device(first + slot * step)).find(|registers| {
            let mut found = [0; 3];
            trap::expect(|| {
                let offsets = [register::MAGIC, register::VERSION, register::DEVICE_ID];
                found = offsets.map(|offset| registers.read32(offset));
            });
            found == [0x7472_6976, 2, device_id]
        })?;
        let middle = board.ram.start + board.ram.size / 2;
        let mut pages = ram::free_pages(board).skip_while(|page| *page < middle);
        let rings = device(pages.next()?);
        let data = device(pages.next()?);
        let table = device(pages.next()?);
        Some(Self { registers, queue, features: 0, rings, data, table, ram: board.ram })
    }

    /// The same, which agrees on these features of the low half, too.
    pub(crate) fn with_features(self, features: u32) -> Self {
        Self { features, ..self }
    }

    /// The device's status.
    pub(crate) fn status(&self) -> u32 {
        self.registers.read32(register::STATUS)
    }

    /// Resets the device, and forgets what was in memory.
    pub(crate) fn reset(&self) {
        self.registers.write32(register::STATUS, 0);
        for page in [self.rings, self.data, self.table] {
            (0..ram::PAGE).step_by(8).for_each(|offset| page.write64(offset, 0));
        }
    }

    /// Agrees on features, among them these of the low half (3.1.1, to step 6).
    pub(crate) fn agree_on(&self, low: u32) {
        self.agree_on_both(low, VERSION_1);
    }

    fn agree_on_both(&self, low: u32, high: u32) {
        self.registers.write32(register::STATUS, status::BEGUN);
        for (half, features) in [(0, low), (1, high)] {
            self.registers.write32(register::DRIVER_FEATURES_SEL, half);
            self.registers.write32(register::DRIVER_FEATURES, features);
        }
        self.registers.write32(register::STATUS, status::BEGUN | status::FEATURES_OK);
    }

    /// As [`Self::agree_on`], with what the tests need.
    pub(crate) fn negotiate(&self) {
        self.agree_on(INDIRECT | self.features);
    }

    /// Says where an area of the queue is.
    pub(crate) fn put_area(&self, register: usize, address: u64) {
        self.registers.write32(register, address as u32);
        self.registers.write32(register + 4, (address >> 32) as u32);
    }

    /// Says what the queue is like, without making it ready.
    pub(crate) fn set_up(&self) {
        self.registers.write32(register::QUEUE_SEL, self.queue);
        self.registers.write32(register::QUEUE_NUM, u32::from(Self::SIZE));
        self.put_area(register::DESCRIPTORS, self.rings.address() as u64);
        self.put_area(register::AVAILABLE, (self.rings.address() + AVAILABLE_OFFSET) as u64);
        self.put_area(register::USED, (self.rings.address() + USED_OFFSET) as u64);
    }

    /// Makes the queue ready.
    pub(crate) fn open(&self) {
        self.registers.write32(register::QUEUE_READY, 1);
    }

    /// Tells the device that the driver is ready (3.1.1, step 8).
    pub(crate) fn run(&self) {
        let all = status::BEGUN | status::FEATURES_OK | status::DRIVER_OK;
        self.registers.write32(register::STATUS, all);
    }

    /// From reset to readiness.
    pub(crate) fn start(&self) {
        self.reset();
        self.negotiate();
        self.set_up();
        self.open();
        self.run();
    }

    /// As [`Self::start`], with a packed queue (2.8): its event suppression is where the rings are otherwise.
    pub(crate) fn start_packed(&self) {
        self.reset();
        self.agree_on_both(INDIRECT, VERSION_1 | RING_PACKED);
        self.set_up();
        self.open();
        self.run();
    }

    /// Makes descriptor `index` of a packed queue available.
    pub(crate) fn put_packed(&self, index: usize, descriptor: Descriptor) {
        self.put(index, descriptor);
        // The identifier and the flags are the other way round (2.8.13).
        self.rings.write16(16 * index + 12, descriptor.next);
        fence(Ordering::SeqCst);
        self.rings.write16(16 * index + 14, descriptor.flags | flag::AVAILABLE);
        fence(Ordering::SeqCst);
    }

    /// Waits until the list that begins at the first descriptor of a packed queue is used.
    pub(crate) fn wait_for_packed_use(&self, what: &'static str) -> Outcome {
        let both = flag::AVAILABLE | flag::USED;
        wait(what, 0, || {
            self.rings.read16(14) & both == both || self.status() & status::NEEDS_RESET != 0
        })?;
        check(self.status() & status::NEEDS_RESET == 0, what, u64::from(self.status()))
    }

    /// Where the queue's descriptors are.
    pub(crate) fn rings_address(&self) -> u64 {
        self.rings.address() as u64
    }

    /// Where there is no RAM.
    pub(crate) fn outside(&self) -> u64 {
        (self.ram.end() + self.ram.size) as u64
    }

    /// A descriptor of these bytes at the start of the page for data.
    pub(crate) fn piece(&self, length: u32, flags: u16, next: u16) -> Descriptor {
        Descriptor { address: self.data.address() as u64, length, flags, next }
    }

    /// Writes descriptor `index` of the queue.
    pub(crate) fn put(&self, index: usize, descriptor: Descriptor) {
        put(self.rings, index, descriptor);
    }

    /// Writes descriptor `index` of the indirect table.
    pub(crate) fn put_indirect(&self, index: usize, descriptor: Descriptor) {
        put(self.table, index, descriptor);
    }

    /// Makes the first descriptor of the queue one that points to this many bytes of the table.
    pub(crate) fn put_table(&self, length: u32, flags: u16) {
        let address = self.table.address() as u64;
        self.put(0, Descriptor { address, length, flags: flag::INDIRECT | flags, next: 1 });
    }

    /// Makes the chain that begins at `head` available, as the first one, and an index of `index`.
    pub(crate) fn offer_as(&self, head: u16, index: u16) {
        self.rings.write16(AVAILABLE_OFFSET + ENTRIES, head);
        // What the index promises is there before the index, and both before the notification (2.7.13.3.1).
        fence(Ordering::SeqCst);
        self.rings.write16(AVAILABLE_OFFSET + INDEX, index);
        fence(Ordering::SeqCst);
    }

    /// Notifies the device of the queue.
    pub(crate) fn notify(&self) {
        self.registers.write32(register::QUEUE_NOTIFY, self.queue);
    }

    /// Makes the chain that begins at the first descriptor available, and notifies.
    pub(crate) fn offer(&self) {
        self.offer_as(0, 1);
        self.notify();
    }

    /// Waits until the chain that was offered is used, and returns how much of it was written.
    pub(crate) fn wait_for_use(&self, what: &'static str) -> Result<u32, crate::report::Failure> {
        wait(what, 0, || {
            self.rings.read16(USED_OFFSET + INDEX) == 1 || self.status() & status::NEEDS_RESET != 0
        })?;
        check(self.status() & status::NEEDS_RESET == 0, what, u64::from(self.status()))?;
        Ok(self.rings.read32(USED_OFFSET + ENTRIES + 4))
    }

    /// Waits until the device says that it needs a reset (2.1.2).
    pub(crate) fn expect_needs_reset(&self, what: &'static str) -> Outcome {
        wait(what, 0, || self.status() & status::NEEDS_RESET != 0)
    }

    /// As [`Self::expect_needs_reset`], of a device that runs: it interrupts, too.
    pub(crate) fn expect_failure(&self, what: &'static str) -> Outcome {
        self.expect_needs_reset(what)?;
        let events = self.registers.read32(register::INTERRUPT_STATUS);
        check(events & CONFIGURATION != 0, what, u64::from(events))
    }
}

/// The registers, or the page of RAM, at `address`.
fn device(address: usize) -> Registers {
    // SAFETY: a virtio device, nothing, or a free page of RAM: nothing that Rust knows about. Devices are made to write
    // to free pages, or they are told so, and refuse.
    unsafe { Registers::new(address) }
}

fn put(table: Registers, index: usize, descriptor: Descriptor) {
    let Descriptor { address, length, flags, next } = descriptor;
    let offset = 16 * index;
    table.write64(offset, address);
    table.write32(offset + 8, length);
    table.write16(offset + 12, flags);
    table.write16(offset + 14, next);
}
