//! Locks. Interrupts stay masked in the hypervisor, so a plain spin lock cannot deadlock with a handler.

use crate::arch::current as arch;
use spin::RelaxStrategy;

/// What a CPU does between two looks at a lock: it says so to the CPU, or to the emulator, which may then let
/// the holder run.
#[derive(Debug)]
pub enum Pause {}

impl RelaxStrategy for Pause {
    fn relax() {
        arch::pause();
    }
}

/// Mutual exclusion by spinning. Hold it briefly, and never while calling out.
pub type Mutex<T> = spin::mutex::SpinMutex<T, Pause>;
/// The guard of a [`Mutex`].
pub type MutexGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T, Pause>;
/// Many who read, or one who writes, by spinning. Hold it briefly, and never while calling out.
pub type RwLock<T> = spin::rwlock::RwLock<T, Pause>;
