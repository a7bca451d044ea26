//! A whole guest: RAM, a device behind MMIO registers, and a driver that initializes it as 3.1 says.

use super::driver::{Direction, DriverQueue, Element, Form};
use super::ram::TestRam;
use super::wires::{TestBell, TestLine};
use crate::device::VirtioDevice;
use crate::feature;
use crate::queue::{QueueConfig, QueueKind};
use crate::transport::mmio::MmioDevice;
use crate::transport::{Layouts, Wiring};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::{Device, GuestPhysAddr, Level, Width};
use hv_core::time::Instant;

/// Where RAM starts.
pub const RAM_BASE: u64 = 0x4000_0000;
/// Bytes of RAM, of which the second half is for buffers.
pub const RAM_BYTES: u64 = 16 << 20;

/// Offsets of registers (4.2.2).
pub mod register {
    #![allow(missing_docs, reason = "they are called as in the specification")]
    pub const DEVICE_FEATURES: u64 = 0x010;
    pub const DEVICE_FEATURES_SEL: u64 = 0x014;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SEL: u64 = 0x024;
    pub const QUEUE_SEL: u64 = 0x030;
    pub const QUEUE_NUM_MAX: u64 = 0x034;
    pub const QUEUE_NUM: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const INTERRUPT_STATUS: u64 = 0x060;
    pub const INTERRUPT_ACK: u64 = 0x064;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_DESC: u64 = 0x080;
    pub const QUEUE_DRIVER: u64 = 0x090;
    pub const QUEUE_DEVICE: u64 = 0x0a0;
    pub const CONFIG: u64 = 0x100;
}

/// The driver's taste.
#[derive(Clone, Copy, Debug)]
pub struct Taste {
    /// The layout of queues.
    pub kind: QueueKind,
    /// Whether it puts chains of several elements into tables.
    pub indirect: bool,
    /// Whether it takes `VIRTIO_F_EVENT_IDX`.
    pub event_index: bool,
    /// The most entries of a queue.
    pub size: u16,
    /// The device's features that it takes, if they are offered.
    pub features: u64,
}

impl Default for Taste {
    /// As Linux is, of a device with split queues.
    fn default() -> Self {
        Self {
            kind: QueueKind::Split,
            indirect: true,
            event_index: true,
            size: u16::MAX,
            features: u64::MAX,
        }
    }
}

/// A buffer that came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Done {
    /// What [`Guest::send`] had called it.
    pub id: u16,
    /// How many bytes the device says that it wrote.
    pub len: u32,
    /// What its writable elements hold, all of it.
    pub data: Vec<u8>,
}

/// A guest with one device.
pub struct Guest<D> {
    /// The device.
    pub device: MmioDevice<D>,
    /// Its RAM.
    pub ram: Arc<TestRam>,
    /// The device's interrupt.
    pub line: Arc<TestLine>,
    /// The device's bell.
    pub bell: Arc<TestBell>,
    /// The driver's side of the queues, once they are set up.
    pub queues: Vec<DriverQueue>,
    taste: Taste,
    lent: BTreeMap<(usize, u16), Vec<Element>>,
    next_buffer: u64,
}

impl<D: VirtioDevice> Guest<D> {
    /// A guest whose driver has not begun yet.
    pub fn powered_on(device: D, taste: Taste) -> Self {
        let ram = TestRam::new(RAM_BASE, RAM_BYTES as usize);
        let (line, bell) = (Arc::new(TestLine::default()), Arc::new(TestBell::default()));
        let wiring = Wiring {
            memory: Arc::<TestRam>::clone(&ram),
            line: Arc::<TestLine>::clone(&line),
            bell: Arc::<TestBell>::clone(&bell),
            layouts: match taste.kind {
                QueueKind::Split => Layouts::Split,
                QueueKind::Packed => Layouts::SplitAndPacked,
            },
        };
        let device = MmioDevice::new(device, wiring);
        let (queues, lent) = (Vec::new(), BTreeMap::new());
        Self { device, ram, line, bell, queues, taste, lent, next_buffer: 0 }
    }

    /// A guest whose driver is ready.
    pub fn new(device: D, taste: Taste) -> Self {
        let mut guest = Self::powered_on(device, taste);
        guest.start();
        guest
    }

    /// Initializes the device (3.1.1), from a reset on.
    pub fn start(&mut self) {
        self.prepare();
        self.set(register::STATUS, 0xf);
    }

    /// Does all of that but the last step: saying that the driver is ready.
    pub fn prepare(&mut self) {
        self.set(register::STATUS, 0);
        self.set(register::STATUS, 1);
        self.set(register::STATUS, 3);
        let offered = self.offered();
        let mut wanted = self.taste.features & feature::OF_DEVICE | feature::VERSION_1;
        if self.taste.indirect {
            wanted |= feature::INDIRECT_DESCRIPTORS;
        }
        if self.taste.event_index {
            wanted |= feature::EVENT_INDEX;
        }
        if self.taste.kind == QueueKind::Packed {
            wanted |= feature::RING_PACKED;
        }
        self.accept(wanted & offered);
        self.set(register::STATUS, 0xb);
        assert_eq!(self.get(register::STATUS), 0xb);
        self.open_queues();
    }

    /// The features that the device offers.
    pub fn offered(&mut self) -> u64 {
        self.set(register::DEVICE_FEATURES_SEL, 0);
        let low = self.get(register::DEVICE_FEATURES);
        self.set(register::DEVICE_FEATURES_SEL, 1);
        u64::from(self.get(register::DEVICE_FEATURES)) << 32 | u64::from(low)
    }

    /// Writes what the driver accepts.
    pub fn accept(&mut self, features: u64) {
        self.set(register::DRIVER_FEATURES_SEL, 0);
        self.set(register::DRIVER_FEATURES, features as u32);
        self.set(register::DRIVER_FEATURES_SEL, 1);
        self.set(register::DRIVER_FEATURES, (features >> 32) as u32);
    }

    fn open_queues(&mut self) {
        self.queues.clear();
        self.lent.clear();
        let mut base = RAM_BASE;
        for index in 0.. {
            self.set(register::QUEUE_SEL, index);
            let max = self.get(register::QUEUE_NUM_MAX) as u16;
            if max == 0 {
                break;
            }
            assert_eq!(self.get(register::QUEUE_READY), 0);
            let config = QueueConfig {
                size: max.min(self.taste.size),
                kind: self.taste.kind,
                descriptors: GuestPhysAddr(0),
                driver: GuestPhysAddr(0),
                device: GuestPhysAddr(0),
                indirect: self.taste.indirect,
                event_index: self.taste.event_index,
            };
            let queue = DriverQueue::new(&self.ram, GuestPhysAddr(base), config);
            base = queue.range().end.next_multiple_of(4096);
            let config = queue.config;
            self.queues.push(queue);
            self.open_queue(index, config);
        }
        assert!(base <= RAM_BASE + RAM_BYTES / 2);
    }

    /// Tells the device of queue `index`.
    pub fn open_queue(&mut self, index: u32, config: QueueConfig) {
        self.set(register::QUEUE_SEL, index);
        self.set(register::QUEUE_NUM, u32::from(config.size));
        for (offset, addr) in [
            (register::QUEUE_DESC, config.descriptors),
            (register::QUEUE_DRIVER, config.driver),
            (register::QUEUE_DEVICE, config.device),
        ] {
            self.set(offset, addr.0 as u32);
            self.set(offset + 4, (addr.0 >> 32) as u32);
        }
        self.set(register::QUEUE_READY, 1);
    }

    /// Sends a buffer by queue `queue`: elements with these bytes, then elements of these lengths for the device to
    /// write. `None` if there is no room. The device is notified if it wants to be.
    pub fn send(&mut self, queue: usize, readable: &[&[u8]], writable: &[u32]) -> Option<u16> {
        let id = self.add(queue, readable, writable)?;
        self.kick(queue);
        Some(id)
    }

    /// As [`send`](Self::send), but without a notification.
    pub fn add(&mut self, queue: usize, readable: &[&[u8]], writable: &[u32]) -> Option<u16> {
        let mut elements = Vec::new();
        for bytes in readable {
            let addr = self.buffer(bytes.len() as u64);
            self.ram.put(addr, bytes);
            elements.push(Element {
                addr,
                len: bytes.len() as u32,
                direction: Direction::ToDevice,
            });
        }
        for len in writable {
            let addr = self.buffer(u64::from(*len));
            self.ram.put(addr, &vec![0xee; *len as usize]);
            elements.push(Element { addr, len: *len, direction: Direction::FromDevice });
        }
        let form = if self.taste.indirect && elements.len() > 1 {
            Form::Indirect(self.buffer(16 * elements.len() as u64))
        } else {
            Form::Direct
        };
        let id = self.queues[queue].add(&self.ram, &elements, form)?;
        self.lent.insert((queue, id), elements);
        Some(id)
    }

    /// Notifies the device of what was added to queue `queue`, if it wants to hear of it.
    pub fn kick(&mut self, queue: usize) {
        if self.queues[queue].must_notify(&self.ram) {
            self.set(register::QUEUE_NOTIFY, queue as u32);
        }
    }

    /// Takes back a buffer of queue `queue`.
    pub fn take(&mut self, queue: usize) -> Option<Done> {
        let used = self.queues[queue].take_used(&self.ram)?;
        let elements = self.lent.remove(&(queue, used.id)).unwrap();
        let mut data = Vec::new();
        for element in elements {
            if element.direction == Direction::FromDevice {
                data.extend(self.ram.bytes(element.addr, element.len as usize));
            }
        }
        assert!(
            used.len as usize <= data.len(),
            "the device says that it wrote more than there is"
        );
        Some(Done { id: used.id, len: used.len, data })
    }

    /// Whether the interrupt is up; it is acknowledged, as a driver does.
    pub fn interrupted(&mut self) -> bool {
        let is_up = self.line.level() == Level::High;
        let events = self.get(register::INTERRUPT_STATUS);
        assert_eq!(is_up, events != 0);
        self.set(register::INTERRUPT_ACK, events);
        is_up
    }

    /// Whether the device is in `DEVICE_NEEDS_RESET`.
    pub fn needs_reset(&mut self) -> bool {
        self.get(register::STATUS) & 64 != 0
    }

    /// Reads a register.
    pub fn get(&mut self, offset: u64) -> u32 {
        self.device.read(offset, Width::B4, Instant(0)) as u32
    }

    /// Writes a register.
    pub fn set(&mut self, offset: u64, value: u32) {
        self.device.write(offset, Width::B4, u64::from(value), Instant(0));
    }

    /// Reads the device's configuration.
    pub fn config(&mut self, offset: u64, width: Width) -> u64 {
        self.device.read(register::CONFIG + offset, width, Instant(0))
    }

    /// Some RAM for a buffer. It is somebody else's after 8 MiB more.
    pub fn buffer(&mut self, len: u64) -> GuestPhysAddr {
        let half = RAM_BYTES / 2;
        if self.next_buffer + len > half {
            self.next_buffer = 0;
        }
        let addr = RAM_BASE + half + self.next_buffer;
        self.next_buffer = (self.next_buffer + len).next_multiple_of(16);
        GuestPhysAddr(addr)
    }
}
