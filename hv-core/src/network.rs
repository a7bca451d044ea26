//! Network cards of the host: virtio network devices (virtio 1.2, 5.1).
//!
//! A [`CardDriver`] copies frames to and from buffers of its own, of which there is a fixed number: what comes while all of them
//! are full is lost in the device. It never waits. When a frame has come or the link has changed, the device interrupts
//! ([`HostEvent::Network`](crate::machine::HostEvent::Network)), unless it was asked not to.

use crate::device::{Notice, Place};

mod buffers;
mod config;
mod driver;

pub use driver::CardDriver;

/// The longest frame that is moved, without its checksum.
pub const FRAME_BYTES: usize = 1514;

/// What a card is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CardInfo {
    /// Where it is.
    pub place: Place,
    /// How it tells of frames.
    pub notice: Notice,
    /// Its address, if it has one.
    pub mac: Option<[u8; 6]>,
}

/// Whether the cable is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// It is, or the card does not tell.
    Up,
    /// It is not.
    Down,
}

/// Whether a frame was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Taken {
    /// It was.
    Yes,
    /// There is no room now.
    Full,
    /// It is longer than frames are, or empty.
    Unfit,
}

/// Whether the card is to interrupt when a frame has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hearing {
    /// It is.
    On,
    /// Somebody looks by himself.
    Off,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CardCounters {
    /// Frames that came.
    pub received: u64,
    /// Bytes of them.
    pub received_bytes: u64,
    /// Frames that came and were of no use: too short or too long.
    pub unfit: u64,
    /// Frames that were sent.
    pub sent: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Frames that were to be sent when there was no room.
    pub full: u64,
}
