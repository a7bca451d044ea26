//! What a device asks of the machine's power supply.

use alloc::sync::Arc;

/// What a guest asked for by a register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowerRequest {
    /// To switch the machine off.
    Off,
    /// To start again.
    Reset,
}

/// Takes a machine's requests. It is called on the exit path, with the lock of the device held: it
/// notes the request and never waits.
pub trait PowerControl: Send {
    /// Notes what the guest asked for.
    fn request(&self, request: PowerRequest);
}

impl<T: PowerControl + Sync + ?Sized> PowerControl for Arc<T> {
    fn request(&self, request: PowerRequest) {
        T::request(self, request);
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! A supply that remembers what it was asked for.

    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    pub(in crate::devices) struct Requests(Mutex<Vec<PowerRequest>>);

    impl Requests {
        pub(in crate::devices) fn take(&self) -> Vec<PowerRequest> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl PowerControl for Requests {
        fn request(&self, request: PowerRequest) {
            self.0.lock().unwrap().push(request);
        }
    }
}
