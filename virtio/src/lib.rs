//! Virtio devices for guests (OASIS "Virtual I/O Device", version 1.2): queues, the MMIO transport, and devices.
//!
//! ```text
//!    guest's driver ──registers──▶ transport::mmio ──▶ Session ──▶ trait VirtioDevice: console, block, ...
//!          │                                             │               │ Disk, ConsolePort, ... : what
//!          └────────── rings in the guest's RAM ◀──────▶ queue::Queue ◀──┘ the outside implements
//! ```
//!
//! The driver is hostile until proven otherwise. What it writes is copied once and checked on the copy; what
//! does not pass puts the device into `DEVICE_NEEDS_RESET` and is counted in its [`record::Record`]. Nothing is
//! allocated whose size a guest chooses, and no call does more than a bounded amount of work.
//!
//! The crate knows nothing but the vocabulary of [`hv_core::guest`].
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod balloon;
pub mod block;
pub mod config_space;
pub mod console;
pub mod device;
pub mod disk;
pub mod entropy;
pub mod fault;
pub mod feature;
pub mod net;
pub mod queue;
pub mod record;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transport;

pub use device::{Context, DeviceId, More, VirtioDevice};
pub use fault::Fault;
