//! What every serial port needs from its owner: a place where the guest's characters go.

use alloc::sync::Arc;

/// Takes what a guest sends.
pub trait SerialOut: Send {
    /// Takes one byte. It is on the exit path of each character: it must be quick and never wait.
    fn put(&self, byte: u8);
}

impl<T: SerialOut + Sync + ?Sized> SerialOut for Arc<T> {
    fn put(&self, byte: u8) {
        T::put(self, byte);
    }
}
