//! What the stack needs of a network card, and how smoltcp sees it.

use crate::switch::MacAddr;
use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// The longest frame, without its checksum.
pub(super) const FRAME_BYTES: usize = 1514;

/// Whether a frame could be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Sent {
    /// It is on its way.
    Yes,
    /// There is no room now.
    Full,
}

/// Whether the cable is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// It is.
    Up,
    /// It is not.
    Down,
}

/// A card, or a port of a switch.
pub trait Card {
    /// Its address.
    fn mac(&self) -> MacAddr;
    /// Whether the cable is in.
    fn link(&self) -> Link;
    /// Whether there is room for a frame.
    fn can_send(&self) -> bool;
    /// Sends a frame; it is copied.
    fn send(&mut self, frame: &[u8]) -> Sent;
    /// Copies the next frame that has come to `frame`; its length. One that does not fit is lost.
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize>;
}

/// Memory for a frame in each direction.
pub(super) struct Frames {
    received: [u8; FRAME_BYTES],
    sent: [u8; FRAME_BYTES],
}

impl Frames {
    pub(super) fn new() -> Self {
        Self { received: [0; FRAME_BYTES], sent: [0; FRAME_BYTES] }
    }
}

/// A card for as long as a poll takes, with what may still be done.
pub(super) struct Polling<'a, C> {
    pub(super) card: &'a mut C,
    pub(super) frames: &'a mut Frames,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Frames that may still be sent.
    pub(super) budget: usize,
}

/// A frame that has come.
pub(super) struct Received<'a>(&'a [u8]);

/// Room for a frame.
pub(super) struct Room<'a, C> {
    card: &'a mut C,
    frame: &'a mut [u8; FRAME_BYTES],
    sent: &'a mut u64,
    lost: &'a mut u64,
    budget: &'a mut usize,
}

impl<C: Card> phy::Device for Polling<'_, C> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Room<'t, C>
    where
        Self: 't;

    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Room<'_, C>)> {
        // Without room for an answer the frame stays where it is.
        if self.budget == 0 || !self.card.can_send() {
            return None;
        }
        let Frames { received, sent } = &mut *self.frames;
        let len = self.card.receive(received)?;
        self.received += 1;
        let frame = Received(received.get(..len).unwrap_or(&[]));
        let room = Room {
            card: self.card,
            frame: sent,
            sent: &mut self.sent,
            lost: &mut self.lost,
            budget: &mut self.budget,
        };
        Some((frame, room))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_, C>> {
        if self.budget == 0 || !self.card.can_send() {
            return None;
        }
        Some(Room {
            card: self.card,
            frame: &mut self.frames.sent,
            sent: &mut self.sent,
            lost: &mut self.lost,
            budget: &mut self.budget,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities
    }
}

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl<C: Card> phy::TxToken for Room<'_, C> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // Longer ones than the card takes are not made; should one be, it is made elsewhere and lost.
        let Some(frame) = self.frame.get_mut(..len) else {
            *self.lost += 1;
            return f(&mut alloc::vec![0; len]);
        };
        let result = f(frame);
        *self.budget = self.budget.saturating_sub(1);
        match self.card.send(frame) {
            Sent::Yes => *self.sent += 1,
            Sent::Full => *self.lost += 1,
        }
        result
    }
}
