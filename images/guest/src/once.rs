//! A value that is set once, by the first CPU, and read by all.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// Set once, then shared.
pub struct Once<T> {
    ready: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is written before `ready` (release) and only read after it (acquire).
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not set yet.
    pub const fn new() -> Self {
        Self { ready: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Sets the value; to be called once, while one CPU runs.
    pub fn set(&self, value: T) -> &T {
        assert!(!self.ready.load(Ordering::Relaxed));
        // SAFETY: nobody holds a reference before `ready` is set, and only the first CPU runs.
        let value = unsafe { (*self.value.get()).write(value) };
        self.ready.store(true, Ordering::Release);
        value
    }

    /// The value, when it was set.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: `ready` says that the value was written.
        self.ready.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::new()
    }
}
