//! What a device is, apart from how the guest reaches it: what a transport drives, and what it gives in return.

use crate::fault::Fault;
use crate::queue::{Chain, Queue};
use crate::record::Record;
use crate::transport::{MAX_QUEUES, State};
use alloc::sync::Arc;
use alloc::vec::Vec;
use hv_core::guest::{GuestMemory, Width};

/// The kinds of devices (5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum DeviceId {
    /// A network card.
    Net = 1,
    /// A disk.
    Block = 2,
    /// A console.
    Console = 3,
    /// A source of entropy.
    Entropy = 4,
    /// A memory balloon, the traditional one.
    Balloon = 5,
}

/// Whether there is work left.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub enum More {
    /// Nothing until the next notification.
    #[default]
    No,
    /// The device stopped early, to give others their turn: call it again soon.
    Yes,
}

/// Tells the outside that a device wants to be called again soon.
pub trait Bell: Send + Sync {
    /// Soon, [`MmioDevice::poll`](crate::transport::mmio::MmioDevice::poll) is to be called. It is rung with the
    /// device locked: it must only take note.
    fn ring(&self);
}

/// A virtio device.
///
/// It is called with its transport's lock held: it never waits, and each call does a bounded amount of work.
/// All it does to its queues goes through the [`Context`] that it is lent; what the driver did wrong there is dealt
/// with there, too: the queues look empty from then on.
pub trait VirtioDevice: Send {
    /// What it is.
    fn device_id(&self) -> DeviceId;

    /// The features that it offers of those that are its kind's own (see [`crate::feature::OF_DEVICE`]). The
    /// transport adds those of queues. Does not change while a driver is there.
    fn features(&self) -> u64;

    /// The most entries of each queue, powers of two; their number is the number of queues, 64 at most.
    fn queue_sizes(&self) -> &[u16];

    /// Reads its configuration space, of any width at any offset; see [`crate::config_space`]. Without side effects.
    fn read_config(&self, offset: u64, width: Width) -> u64;

    /// Writes its configuration space.
    fn write_config(&mut self, offset: u64, width: Width, value: u64);

    /// The driver is ready (`DRIVER_OK`), and agreed on `features`. Queues may be used from now on.
    fn activate(&mut self, features: u64, context: &mut Context<'_>);

    /// The driver notified queue `queue`, or the device said [`More::Yes`] of it. Never called before
    /// [`activate`](Self::activate) or after [`reset`](Self::reset).
    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More;

    /// Back to the state after power-on. Chains that it still holds are dropped or pushed later: it is the same.
    fn reset(&mut self);
}

/// What a device may use while it is called: its queues, the guest's RAM, and the interrupt.
///
/// The driver is interrupted when the call ends, once, if it wants to hear of what was pushed.
pub struct Context<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) memory: &'a Arc<dyn GuestMemory + Send + Sync>,
    pub(crate) record: &'a Record,
    /// Queues for which the device is to be called again, a bit each.
    pub(crate) again: &'a mut u64,
}

impl Context<'_> {
    /// Takes the next buffer of queue `queue`. `None` if there is none, and then the driver will notify of the
    /// next one; or if the device is out of order, or its queue not in use.
    ///
    /// A device that stops before `None` may never be notified again: it says [`More::Yes`], or comes back by itself
    /// when it has room for more.
    pub fn pop(&mut self, queue: usize) -> Option<Chain> {
        let memory = &**self.memory;
        let found = take(self.state.queue(queue)?, memory);
        self.checked(found).flatten()
    }

    /// Gives a buffer back that was taken from queue `queue`, of which the first `written` writable bytes
    /// were written. One from before a reset is dropped.
    pub fn push(&mut self, queue: usize, chain: Chain, written: u32) {
        let memory = &**self.memory;
        let Some(open) = self.state.queue(queue) else { return };
        let pushed = open.push(memory, chain, written);
        if self.checked(pushed).is_some() {
            self.state.touch(queue);
        }
    }

    /// Gives several buffers back at once, each with the number of its bytes that were written: the driver sees all of them
    /// or none. The list is empty afterwards.
    pub fn push_all(&mut self, queue: usize, chains: &mut Vec<(Chain, u32)>) {
        let memory = &**self.memory;
        let Some(open) = self.state.queue(queue) else { return chains.clear() };
        let pushed = open.push_all(memory, chains);
        if self.checked(pushed).is_some() {
            self.state.touch(queue);
        }
    }

    /// The guest's RAM.
    #[must_use]
    pub fn memory(&self) -> &(dyn GuestMemory + Send + Sync + 'static) {
        &**self.memory
    }

    /// The guest's RAM, for a request that outlasts the call.
    #[must_use]
    pub fn share_memory(&self) -> Arc<dyn GuestMemory + Send + Sync> {
        Arc::clone(self.memory)
    }

    /// Asks to be called soon for queue `queue`, as if the driver notified it: what a device that is not called by its
    /// driver does instead of returning [`More::Yes`].
    pub fn call_again(&mut self, queue: usize) {
        *self.again |= 1 << (queue % MAX_QUEUES);
    }

    /// The features that were agreed on.
    #[must_use]
    pub fn features(&self) -> u64 {
        self.state.features()
    }

    /// Whether the driver is ready and the device in order. If not, there are no buffers.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state.is_running()
    }

    /// Tells the driver that the configuration space has changed.
    pub fn config_changed(&mut self) {
        self.state.config_changed();
    }

    /// The driver did something from which there is no going on: the device needs a reset.
    pub fn fail(&mut self, fault: Fault) {
        self.state.fail(fault, self.record);
    }

    fn checked<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.fail(fault)).ok()
    }
}

/// Takes the next chain. Whoever finds none asks to be notified, and looks once more.
fn take(queue: &mut Queue, memory: &dyn GuestMemory) -> Result<Option<Chain>, Fault> {
    let mut found = queue.pop(memory)?;
    if found.is_none() {
        queue.enable_notifications(memory)?;
        found = queue.pop(memory)?;
    }
    if found.is_some() {
        queue.disable_notifications(memory)?;
    }
    Ok(found)
}
