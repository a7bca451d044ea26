//! The conversation with one driver: status, features, queues, and what it has to be told (2.1 to 2.3, 3.1).

use super::{MAX_QUEUES, bits};
use crate::fault::Fault;
use crate::feature;
use crate::queue::{Queue, QueueConfig, QueueKind};
use crate::record::Record;
use alloc::vec::Vec;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// Bits of the device status field (2.1).
pub(crate) mod status {
    pub(crate) const ACKNOWLEDGE: u8 = 1;
    pub(crate) const DRIVER: u8 = 2;
    pub(crate) const DRIVER_OK: u8 = 4;
    pub(crate) const FEATURES_OK: u8 = 8;
    pub(crate) const NEEDS_RESET: u8 = 64;
    pub(crate) const FAILED: u8 = 128;
    /// The bits that a driver may set.
    pub(crate) const OF_DRIVER: u8 = ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED;
}

/// One of a queue's three areas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Area {
    Descriptors,
    Driver,
    Device,
}

/// One half of a 64-bit register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Half {
    Low,
    High,
}

/// A queue as the driver sets it up, and the queue itself while it is ready.
struct Slot {
    max: u16,
    size: u16,
    areas: [u64; 3],
    queue: Option<Queue>,
}

/// What a change of the status means for the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Nothing.
    Nothing,
    /// The driver is ready.
    Activate,
    /// Everything begins anew.
    Reset,
}

/// See the module's page.
pub(crate) struct State {
    offered: u64,
    accepted: u64,
    status: u8,
    slots: Vec<Slot>,
    /// Queues with buffers that were pushed since the driver's wishes were asked last, a bit each.
    touched: u64,
    has_config_changed: bool,
    config_generation: u32,
}

impl State {
    pub(crate) fn new(offered: u64, sizes: &[u16]) -> Self {
        let slot = |max: &u16| Slot { max: *max, size: *max, areas: [0; 3], queue: None };
        Self {
            offered,
            accepted: 0,
            status: 0,
            slots: sizes.iter().take(MAX_QUEUES).map(slot).collect(),
            touched: 0,
            has_config_changed: false,
            config_generation: 0,
        }
    }

    /// Everything as after power-on, but the configuration's generation, which goes on.
    pub(crate) fn reset(&mut self) {
        self.accepted = 0;
        self.status = 0;
        self.touched = 0;
        self.has_config_changed = false;
        for slot in &mut self.slots {
            *slot = Slot { max: slot.max, size: slot.max, areas: [0; 3], queue: None };
        }
    }

    pub(crate) fn offered(&self) -> u64 {
        self.offered
    }

    /// What was agreed on.
    pub(crate) fn features(&self) -> u64 {
        self.accepted & self.offered
    }

    /// Sets one half of what the driver accepts; not once that is settled.
    pub(crate) fn accept(&mut self, half: Half, value: u32) {
        if self.status & status::FEATURES_OK == 0 {
            self.accepted = with_half(self.accepted, half, value);
        }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status & (status::DRIVER_OK | status::NEEDS_RESET) == status::DRIVER_OK
    }

    /// The driver writes the status. Bits are only ever added, except by 0, which resets (2.1.1).
    pub(crate) fn set_status(&mut self, value: u8, record: &Record) -> Step {
        if value == 0 {
            return Step::Reset;
        }
        let mut new = value & status::OF_DRIVER & !self.status;
        if new & status::FEATURES_OK != 0 && !self.are_features_fine() {
            new &= !status::FEATURES_OK;
        }
        self.status |= new & !status::DRIVER_OK;
        if new & status::DRIVER_OK == 0 {
            return Step::Nothing;
        }
        if self.status & status::FEATURES_OK == 0 {
            self.fail(Fault::Order, record);
            return Step::Nothing;
        }
        self.status |= status::DRIVER_OK;
        if self.is_running() { Step::Activate } else { Step::Nothing }
    }

    /// A driver that accepts what was not offered, or that is a legacy driver, is not agreed with (2.2.2, 6.2).
    fn are_features_fine(&self) -> bool {
        self.accepted & !self.offered == 0 && self.accepted & feature::VERSION_1 != 0
    }

    /// The most entries of queue `index`; 0 if there is none.
    pub(crate) fn queue_max(&self, index: u32) -> u16 {
        self.slot(index).map_or(0, |slot| slot.max)
    }

    /// The driver chooses how many entries queue `index` has.
    pub(crate) fn set_queue_size(&mut self, index: u32, size: u32) {
        if let Some(slot) = self.idle_slot(index) {
            // What does not fit is as wrong as 0, which is found out when the queue is made ready.
            slot.size = u16::try_from(size).unwrap_or(0);
        }
    }

    /// The driver says where an area of queue `index` is.
    pub(crate) fn set_queue_area(&mut self, index: u32, area: Area, half: Half, value: u32) {
        if let Some(addr) = self.idle_slot(index).and_then(|slot| slot.areas.get_mut(area as usize))
        {
            *addr = with_half(*addr, half, value);
        }
    }

    pub(crate) fn is_queue_ready(&self, index: u32) -> bool {
        self.slot(index).is_some_and(|slot| slot.queue.is_some())
    }

    /// The driver puts queue `index` into use.
    pub(crate) fn open_queue(&mut self, index: u32, memory: &dyn GuestMemory, record: &Record) {
        if self.is_queue_ready(index) || self.queue_max(index) == 0 {
            return;
        }
        if let Err(fault) = self.try_open(index, memory) {
            self.fail(fault, record);
        }
    }

    fn try_open(&mut self, index: u32, memory: &dyn GuestMemory) -> Result<(), Fault> {
        // The layout depends on the features (3.1.1).
        if self.status & status::FEATURES_OK == 0 {
            return Err(Fault::Order);
        }
        let features = self.features();
        let Some(slot) = self.idle_slot(index) else { return Ok(()) };
        if slot.size > slot.max {
            return Err(Fault::QueueSize);
        }
        let [descriptors, driver, device] = slot.areas.map(GuestPhysAddr);
        let is_packed = features & feature::RING_PACKED != 0;
        let config = QueueConfig {
            size: slot.size,
            kind: if is_packed { QueueKind::Packed } else { QueueKind::Split },
            descriptors,
            driver,
            device,
            indirect: features & feature::INDIRECT_DESCRIPTORS != 0,
            event_index: features & feature::EVENT_INDEX != 0,
        };
        slot.queue = Some(Queue::new(config, memory)?);
        Ok(())
    }

    /// The driver takes queue `index` out of use.
    pub(crate) fn close_queue(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.queue = None;
        }
    }

    /// Queue `index`, if it may be used.
    pub(crate) fn queue(&mut self, index: usize) -> Option<&mut Queue> {
        if !self.is_running() {
            return None;
        }
        self.slots.get_mut(index)?.queue.as_mut()
    }

    /// A buffer was pushed to queue `index`.
    pub(crate) fn touch(&mut self, index: usize) {
        self.touched |= 1 << (index % MAX_QUEUES);
    }

    /// The queues of whose new buffers the driver wants to hear, a bit each.
    pub(crate) fn take_wanted(&mut self, memory: &dyn GuestMemory, record: &Record) -> u64 {
        let touched = core::mem::take(&mut self.touched);
        let mut wanted = 0;
        for index in bits(touched) {
            match self.queue(index).map(|queue| queue.needs_interrupt(memory)) {
                Some(Ok(true)) => wanted |= 1 << index,
                Some(Ok(false)) | None => {}
                Some(Err(fault)) => self.fail(fault, record),
            }
        }
        wanted
    }

    pub(crate) fn config_generation(&self) -> u32 {
        self.config_generation
    }

    pub(crate) fn config_changed(&mut self) {
        self.config_generation = self.config_generation.wrapping_add(1);
        self.has_config_changed = true;
    }

    /// Whether the driver has to hear of a change of the configuration or of a fault. Before it is ready, it does
    /// not (2.1.2).
    pub(crate) fn take_config_changed(&mut self) -> bool {
        core::mem::take(&mut self.has_config_changed) && self.status & status::DRIVER_OK != 0
    }

    /// The driver did something wrong: the device needs a reset (2.1.2).
    pub(crate) fn fail(&mut self, fault: Fault, record: &Record) {
        if self.status & status::NEEDS_RESET != 0 {
            return;
        }
        record.count_fault(fault);
        self.status |= status::NEEDS_RESET;
        self.has_config_changed = true;
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
    }

    /// Queue `index` while it is not ready: only then may it be changed (4.2.2.2).
    fn idle_slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize).filter(|slot| slot.queue.is_none())
    }
}

/// `value` with one half replaced.
fn with_half(value: u64, half: Half, replacement: u32) -> u64 {
    match half {
        Half::Low => value >> 32 << 32 | u64::from(replacement),
        Half::High => value << 32 >> 32 | u64::from(replacement) << 32,
    }
}
