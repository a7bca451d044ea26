//! The pair's ports, each two of which are a window of their own.

use super::Pic8259;
use crate::devices::isa;
use alloc::sync::Arc;
use hv_core::guest::{Device, Width};
use hv_core::sync::Mutex;
use hv_core::time::Instant;

/// Which two ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Block {
    /// 0x20 and 0x21.
    Master,
    /// 0xa0 and 0xa1.
    Slave,
    /// 0x4d0 and 0x4d1: `ELCR1` and `ELCR2`.
    Levels,
}

/// Two of the pair's ports. It takes the pair's lock.
pub struct Ports {
    pair: Arc<Mutex<Pic8259>>,
    block: Block,
}

impl Ports {
    /// The ports `block` of `pair`.
    pub fn new(pair: Arc<Mutex<Pic8259>>, block: Block) -> Self {
        Self { pair, block }
    }
}

impl Device for Ports {
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        let mut pair = self.pair.lock();
        isa::read(offset, width, |offset| pair.read(self.block, offset))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        let mut pair = self.pair.lock();
        isa::write(offset, width, value, |offset, value| pair.write(self.block, offset, value));
    }

    /// Resets the pair, with whichever of its windows comes first.
    fn reset(&mut self) {
        self.pair.lock().reset();
    }
}
