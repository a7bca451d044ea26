//! Virtio over MMIO, version 2 (4.2): a window of 0x200 bytes or more, and one interrupt wire.
//!
//! ```text
//!    0x000 identification   0x030 the selected queue   0x0a0 ... its areas     0x0fc generation
//!    0x010 features         0x050 notify               0x0ac shared memory     0x100 the device's
//!    0x020                  0x060 interrupt, 0x070 status      (there is none)       configuration
//! ```
//!
//! The wire is high while an event is not acknowledged. Guests may take it for edge-triggered, as the `virt`
//! machine's device tree says: it is lowered for a moment when an acknowledgement leaves an event behind.

use super::state::{Area, Half};
use super::{Session, Wiring};
use crate::device::{Bell, Context, More, VirtioDevice};
use crate::record::Record;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

/// Bytes that a device takes up, as on QEMU's `virt`.
pub const WINDOW_BYTES: u64 = 0x200;

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// "ROOS": nobody assigns these.
const VENDOR: u32 = 0x534f_4f52;
/// Where the device's configuration starts.
const CONFIG: u64 = 0x100;

/// Bits of `InterruptStatus`.
mod interrupt {
    pub(super) const USED_BUFFER: u32 = 1;
    pub(super) const CONFIGURATION: u32 = 2;
}

/// The registers (4.2.2), found by their offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Magic,
    Version,
    DeviceId,
    VendorId,
    DeviceFeatures,
    DeviceFeaturesSel,
    DriverFeatures,
    DriverFeaturesSel,
    QueueSel,
    QueueNumMax,
    QueueNum,
    QueueReady,
    QueueNotify,
    InterruptStatus,
    InterruptAck,
    Status,
    QueueArea(Area, Half),
    SharedMemorySel,
    SharedMemory,
    QueueReset,
    ConfigGeneration,
}

impl Register {
    #[inline]
    const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x000 => Self::Magic,
            0x004 => Self::Version,
            0x008 => Self::DeviceId,
            0x00c => Self::VendorId,
            0x010 => Self::DeviceFeatures,
            0x014 => Self::DeviceFeaturesSel,
            0x020 => Self::DriverFeatures,
            0x024 => Self::DriverFeaturesSel,
            0x030 => Self::QueueSel,
            0x034 => Self::QueueNumMax,
            0x038 => Self::QueueNum,
            0x044 => Self::QueueReady,
            0x050 => Self::QueueNotify,
            0x060 => Self::InterruptStatus,
            0x064 => Self::InterruptAck,
            0x070 => Self::Status,
            0x080 => Self::QueueArea(Area::Descriptors, Half::Low),
            0x084 => Self::QueueArea(Area::Descriptors, Half::High),
            0x090 => Self::QueueArea(Area::Driver, Half::Low),
            0x094 => Self::QueueArea(Area::Driver, Half::High),
            0x0a0 => Self::QueueArea(Area::Device, Half::Low),
            0x0a4 => Self::QueueArea(Area::Device, Half::High),
            0x0ac => Self::SharedMemorySel,
            0x0b0 | 0x0b4 | 0x0b8 | 0x0bc => Self::SharedMemory,
            0x0c0 => Self::QueueReset,
            0x0fc => Self::ConfigGeneration,
            _ => return None,
        })
    }
}

/// A virtio device behind MMIO registers.
///
/// Its owner keeps it in an `Arc<Mutex<_>>`, gives that to the machine's bus, and speaks to the device by
/// [`call`](Self::call): so requests complete that took their time, and so console input arrives.
pub struct MmioDevice<D> {
    session: Session<D>,
    line: Arc<dyn IrqLine>,
    bell: Arc<dyn Bell>,
    level: Level,
    interrupts: u32,
    device_features_half: u32,
    driver_features_half: u32,
    queue: u32,
}

impl<D: VirtioDevice> MmioDevice<D> {
    /// `device`, after power-on.
    pub fn new(device: D, wiring: Wiring) -> Self {
        let Wiring { memory, line, bell, layouts } = wiring;
        Self {
            session: Session::new(device, memory, layouts),
            line,
            bell,
            level: Level::Low,
            interrupts: 0,
            device_features_half: 0,
            driver_features_half: 0,
            queue: 0,
        }
    }

    /// What happens to it, which can be read without its lock.
    #[must_use]
    pub fn record(&self) -> Arc<Record> {
        self.session.record()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &D {
        self.session.device()
    }

    /// Calls `call` with the device, its queues, memory and interrupt, then tells the driver what it wants to
    /// hear. The way for everything that does not come from the driver: a request that completes, input that
    /// arrives. Whether the driver is there says [`Context::is_running`].
    pub fn call<R>(&mut self, call: impl FnOnce(&mut D, &mut Context<'_>) -> R) -> R {
        let before = self.session.more();
        let result = self.session.with(call);
        if before == More::No && self.session.more() == More::Yes {
            self.bell.ring();
        }
        self.tell();
        result
    }

    /// Goes on with what the device left unfinished when it rang the bell. [`More::Yes`] if it did again.
    pub fn poll(&mut self) -> More {
        self.session.poll();
        self.tell();
        self.session.more()
    }

    #[inline]
    fn read_register(&self, register: Register) -> u32 {
        let state = self.session.state();
        match register {
            Register::Magic => MAGIC,
            Register::Version => VERSION,
            Register::DeviceId => self.session.device().device_id() as u32,
            Register::VendorId => VENDOR,
            Register::DeviceFeatures => match self.device_features_half {
                0 => state.offered() as u32,
                1 => (state.offered() >> 32) as u32,
                _ => 0,
            },
            Register::QueueNumMax => u32::from(state.queue_max(self.queue)),
            Register::QueueReady => u32::from(state.is_queue_ready(self.queue)),
            Register::InterruptStatus => self.interrupts,
            Register::Status => u32::from(state.status()),
            // No region exists: a length and a base of -1.
            Register::SharedMemory => u32::MAX,
            Register::ConfigGeneration => state.config_generation(),
            // Not offered.
            Register::QueueReset => 0,
            Register::DeviceFeaturesSel
            | Register::DriverFeatures
            | Register::DriverFeaturesSel
            | Register::QueueSel
            | Register::QueueNum
            | Register::QueueNotify
            | Register::InterruptAck
            | Register::QueueArea(..)
            | Register::SharedMemorySel => 0,
        }
    }

    #[inline]
    fn write_register(&mut self, register: Register, value: u32) {
        match register {
            Register::DeviceFeaturesSel => self.device_features_half = value,
            Register::DriverFeaturesSel => self.driver_features_half = value,
            Register::DriverFeatures => self.accept(value),
            Register::QueueSel => self.queue = value,
            Register::QueueNum => self.session.state_mut().set_queue_size(self.queue, value),
            Register::QueueReady if value & 1 != 0 => self.session.open_queue(self.queue),
            Register::QueueReady => self.session.state_mut().close_queue(self.queue),
            Register::QueueNotify => self.notify(value),
            Register::InterruptAck => self.acknowledge(value),
            Register::Status => self.set_status(value),
            Register::QueueArea(area, half) => {
                self.session.state_mut().set_queue_area(self.queue, area, half, value);
            }
            Register::Magic
            | Register::Version
            | Register::DeviceId
            | Register::VendorId
            | Register::DeviceFeatures
            | Register::QueueNumMax
            | Register::InterruptStatus
            | Register::SharedMemorySel
            | Register::SharedMemory
            | Register::QueueReset
            | Register::ConfigGeneration => {}
        }
    }

    fn accept(&mut self, value: u32) {
        let half = match self.driver_features_half {
            0 => Half::Low,
            1 => Half::High,
            // There are no more than 64 bits, and none of the others is offered.
            _ => return,
        };
        self.session.state_mut().accept(half, value);
    }

    fn notify(&mut self, queue: u32) {
        self.session.notify(queue);
        self.ring_for_more();
    }

    /// Has the device called again if it wants to be.
    fn ring_for_more(&self) {
        if self.session.more() == More::Yes {
            self.bell.ring();
        }
    }

    fn set_status(&mut self, value: u32) {
        // Only the low byte has a meaning (2.1); what is left of a write of nothing else is no reset.
        let low = (value & 0xff) as u8;
        if low != 0 {
            self.session.set_status(low);
            self.ring_for_more();
        } else if value == 0 {
            self.reset();
        }
    }

    fn acknowledge(&mut self, events: u32) {
        self.interrupts &= !events;
        if self.interrupts != 0 {
            self.drive(Level::Low);
        }
        self.drive(Level::from(self.interrupts != 0));
    }

    /// Interrupts the driver if there is something that it wants to hear.
    fn tell(&mut self) {
        let events = self.session.take_events();
        let mut new = 0;
        if events.queues != 0 {
            new |= interrupt::USED_BUFFER;
        }
        if events.configuration {
            new |= interrupt::CONFIGURATION;
        }
        if new != 0 {
            if new & !self.interrupts != 0 {
                self.session.count_interrupt();
            }
            self.interrupts |= new;
            self.drive(Level::High);
        }
    }

    fn drive(&mut self, level: Level) {
        if self.level != level {
            self.level = level;
            self.line.set(level);
        }
    }
}

impl<D: VirtioDevice> Device for MmioDevice<D> {
    /// Registers have 32 bits and are accessed as a whole (4.2.2.2); other widths read zero and write nothing.
    /// The configuration is accessed in any way.
    fn read(&mut self, offset: u64, width: Width, _: Instant) -> u64 {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            return self.session.device().read_config(offset, width) & width.ones();
        }
        match Register::at(offset) {
            Some(register) if width == Width::B4 => u64::from(self.read_register(register)),
            _ => 0,
        }
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _: Instant) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            self.session.device_mut().write_config(offset, width, value & width.ones());
        } else if let Some(register) = Register::at(offset)
            && width == Width::B4
        {
            self.write_register(register, value as u32);
        }
        self.tell();
    }

    fn reset(&mut self) {
        self.session.reset();
        self.interrupts = 0;
        self.device_features_half = 0;
        self.driver_features_half = 0;
        self.queue = 0;
        self.drive(Level::Low);
    }
}
