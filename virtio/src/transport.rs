//! Between a guest's driver and a device: negotiation, queues and events, whatever the bus.
//!
//! `State` is the conversation with the driver; `Session` puts a device behind it. How registers look is the
//! matter of [`mmio`], beside which another bus may come.

pub mod mmio;
mod session;
mod state;

use session::Session;
pub(crate) use state::State;

use crate::device::Bell;
use alloc::sync::Arc;
use hv_core::guest::{GuestMemory, IrqLine};

/// The most queues that a device has.
pub const MAX_QUEUES: usize = 64;

/// The layouts of queues that a device offers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Layouts {
    /// The split one alone.
    #[default]
    Split,
    /// Both. Linux takes the packed one then.
    SplitAndPacked,
}

/// What a device is connected to.
pub struct Wiring {
    /// The guest's RAM.
    pub memory: Arc<dyn GuestMemory + Send + Sync>,
    /// Its interrupt.
    pub line: Arc<dyn IrqLine>,
    /// Rung when the device wants to be polled.
    pub bell: Arc<dyn Bell>,
    /// The layouts of queues that it offers.
    pub layouts: Layouts,
}

/// The places of the bits that are set.
fn bits(set: u64) -> impl Iterator<Item = usize> {
    let mut left = set;
    core::iter::from_fn(move || {
        let lowest = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(lowest)
    })
}

#[cfg(test)]
mod tests;
