//! An interrupt wire and a bell that remember.

use crate::device::Bell;
use core::sync::atomic::{AtomicU32, Ordering};
use hv_core::guest::{IrqLine, Level};

/// A wire that knows its level and counts its rising edges.
#[derive(Debug, Default)]
pub struct TestLine {
    high: AtomicU32,
    edges: AtomicU32,
}

impl TestLine {
    /// Its level.
    pub fn level(&self) -> Level {
        Level::from(self.high.load(Ordering::SeqCst) != 0)
    }

    /// How often it went from low to high.
    pub fn edges(&self) -> u32 {
        self.edges.load(Ordering::SeqCst)
    }
}

impl IrqLine for TestLine {
    fn set(&self, level: Level) {
        let high = u32::from(level == Level::High);
        if self.high.swap(high, Ordering::SeqCst) < high {
            self.edges.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A bell that counts.
#[derive(Debug, Default)]
pub struct TestBell(AtomicU32);

impl TestBell {
    /// How often it rang.
    pub fn rings(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Bell for TestBell {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
