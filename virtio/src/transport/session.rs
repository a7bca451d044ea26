//! A device and the conversation with its driver, whatever the bus.

use super::state::{State, Step};
use super::{Layouts, MAX_QUEUES, bits};
use crate::device::{Context, More, VirtioDevice};
use crate::fault::Fault;
use crate::feature;
use crate::record::Record;
use alloc::sync::Arc;
use hv_core::guest::GuestMemory;

/// What the driver has to be told by interrupt.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Events {
    /// Queues with used buffers, a bit each.
    pub(crate) queues: u64,
    /// Whether the configuration has changed, or the device needs a reset.
    pub(crate) configuration: bool,
}

pub(crate) struct Session<D> {
    device: D,
    state: State,
    memory: Arc<dyn GuestMemory + Send + Sync>,
    record: Arc<Record>,
    /// Queues that the device wants to be called for again, a bit each.
    unfinished: u64,
}

impl<D: VirtioDevice> Session<D> {
    pub(crate) fn new(
        device: D,
        memory: Arc<dyn GuestMemory + Send + Sync>,
        layouts: Layouts,
    ) -> Self {
        let mut offered = device.features() & feature::OF_DEVICE
            | feature::VERSION_1
            | feature::INDIRECT_DESCRIPTORS
            | feature::EVENT_INDEX;
        if layouts == Layouts::SplitAndPacked {
            offered |= feature::RING_PACKED;
        }
        let state = State::new(offered, device.queue_sizes());
        Self { device, state, memory, record: Arc::default(), unfinished: 0 }
    }

    pub(crate) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.record)
    }

    pub(crate) fn device(&self) -> &D {
        &self.device
    }

    pub(crate) fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Calls `call` with the device and what it may use.
    pub(crate) fn with<R>(&mut self, call: impl FnOnce(&mut D, &mut Context<'_>) -> R) -> R {
        let Self { device, state, memory, record, unfinished } = self;
        call(device, &mut Context { state, memory, record, again: unfinished })
    }

    pub(crate) fn set_status(&mut self, value: u8) {
        match self.state.set_status(value, &self.record) {
            Step::Nothing => {}
            Step::Activate => {
                let features = self.state.features();
                self.with(|device, context| device.activate(features, context));
            }
            Step::Reset => self.reset(),
        }
    }

    pub(crate) fn open_queue(&mut self, index: u32) {
        self.state.open_queue(index, &*self.memory, &self.record);
    }

    /// The driver notified queue `index`.
    pub(crate) fn notify(&mut self, index: u32) {
        self.record.count_notification();
        if !self.state.is_running() {
            return;
        }
        if self.state.queue_max(index) == 0 {
            return self.state.fail(Fault::NotifyIndex, &self.record);
        }
        if self.state.is_queue_ready(index) {
            self.call(index as usize);
        }
    }

    /// Calls the device for each queue that it had not finished with.
    pub(crate) fn poll(&mut self) {
        let unfinished = core::mem::take(&mut self.unfinished);
        for index in bits(unfinished) {
            if self.state.is_running() {
                self.call(index);
            }
        }
    }

    fn call(&mut self, index: usize) {
        let more = self.with(|device, context| device.notify(index, context));
        let bit = 1 << (index % MAX_QUEUES);
        match more {
            More::No => self.unfinished &= !bit,
            More::Yes => self.unfinished |= bit,
        }
    }

    /// Whether the device wants to be called again.
    pub(crate) fn more(&self) -> More {
        if self.unfinished == 0 || !self.state.is_running() { More::No } else { More::Yes }
    }

    /// What the driver has to be told since the last time.
    pub(crate) fn take_events(&mut self) -> Events {
        let queues = self.state.take_wanted(&*self.memory, &self.record);
        Events { queues, configuration: self.state.take_config_changed() }
    }

    pub(crate) fn count_interrupt(&self) {
        self.record.count_interrupt();
    }

    pub(crate) fn reset(&mut self) {
        self.state.reset();
        self.unfinished = 0;
        self.device.reset();
    }
}
