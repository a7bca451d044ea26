//! A device's end of an interrupt wire.

use alloc::sync::Arc;
use hv_core::guest::{IrqLine, Level};

/// The wire of a device, which is touched only when its level changes.
pub(crate) struct Wire {
    line: Arc<dyn IrqLine>,
    level: Level,
}

impl Wire {
    pub(crate) fn new(line: Arc<dyn IrqLine>) -> Self {
        Self { line, level: Level::Low }
    }

    #[inline]
    pub(crate) fn drive(&mut self, level: Level) {
        if level != self.level {
            self.level = level;
            self.line.set(level);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A wire that remembers its level and counts how often it was driven.

    use super::*;
    use core::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    pub(crate) struct Probe {
        high: AtomicU32,
        changes: AtomicU32,
    }

    impl Probe {
        pub(crate) fn is_high(&self) -> bool {
            self.high.load(Ordering::Relaxed) != 0
        }

        pub(crate) fn changes(&self) -> u32 {
            self.changes.load(Ordering::Relaxed)
        }
    }

    impl IrqLine for Probe {
        fn set(&self, level: Level) {
            self.high.store(u32::from(level == Level::High), Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }
}
