//! Port 0x61, as a window of its own.

use super::Pit8254;
use crate::devices::isa;
use alloc::sync::Arc;
use hv_core::guest::{Device, Width};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// The port by which the gate of channel 2 is driven and its output read: a window of one byte.
/// It takes the timer's lock, and no other.
pub struct PortB(Arc<Mutex<Pit8254>>);

impl PortB {
    /// The port of `timer`.
    pub fn new(timer: Arc<Mutex<Pit8254>>) -> Self {
        Self(timer)
    }
}

impl Device for PortB {
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        isa::read(offset, width, |at| {
            if at == 0 { self.0.lock().read_port_b(now) } else { isa::FLOATING }
        })
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        isa::write(offset, width, value, |at, value| {
            if at == 0 {
                self.0.lock().write_port_b(value, now);
            }
        });
    }

    /// What there is to reset is the timer's.
    fn reset(&mut self) {}
}
