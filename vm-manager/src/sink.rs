//! Where a VM's serial port sends to: the console's ring, and whoever watches it.

use crate::console::Output;
use crate::devices::serial::SerialOut;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Tells the CPU that serves the operators that there is something for them.
pub trait Bell: Send + Sync {
    /// Soon, not at once: it may be rung for every character.
    fn ring(&self);
}

/// The console's output, and the bell that tells its watchers.
pub struct ConsoleSink {
    output: Output,
    watchers: AtomicUsize,
    bell: Arc<dyn Bell>,
}

impl ConsoleSink {
    /// A console that keeps `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize, bell: Arc<dyn Bell>) -> Self {
        Self { output: Output::new(bytes), watchers: AtomicUsize::new(0), bell }
    }

    /// What was sent.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// How many sessions want to be told of output. Relaxed: a watcher that comes reads everything first.
    pub fn set_watchers(&self, count: usize) {
        self.watchers.store(count, Ordering::Relaxed);
    }
}

impl SerialOut for ConsoleSink {
    fn put(&self, byte: u8) {
        self.output.push(byte);
        if self.watchers.load(Ordering::Relaxed) != 0 {
            self.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests;
