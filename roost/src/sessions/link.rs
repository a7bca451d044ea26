//! What connects a user with a session.

use crate::host::Services;
use alloc::format;
use shell::session::Session;

/// What has come from the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Received {
    /// Nothing that a user did.
    Nothing,
    /// Something was typed, and more may be behind it.
    Keys,
    /// Nothing, but whoever waits for an answer is not idle.
    Patience,
    /// Nothing more will come, and nothing that is sent arrives.
    Gone,
}

/// What becomes of output that the other end does not take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Patience {
    /// It waits: the other end is a wire, which always takes it.
    Endless,
    /// It is lost after a while.
    Limited,
}

/// A stream of bytes to and from somebody. No method waits, and each does a bounded amount of work.
pub(crate) trait Link: Send {
    /// What it is called in listings.
    fn name(&self) -> &'static str;

    /// Hands what has come to the session: bytes, and the terminal's size.
    fn receive(&mut self, session: &mut Session, services: &mut Services) -> Received;

    /// How many bytes of output it takes now.
    fn room(&mut self, services: &mut Services) -> usize;

    /// Sends bytes, no more than there is room for.
    fn send(&mut self, bytes: &[u8], services: &mut Services);

    /// Says why the session ends, as far as there is room.
    fn part(&mut self, why: &str, services: &mut Services) {
        let text = format!("\r\n[{why}]\r\n");
        let room = self.room(services);
        self.send(text.as_bytes().get(..room).unwrap_or(text.as_bytes()), services);
    }

    /// Whether the other end has got all that was sent.
    fn is_drained(&self, services: &mut Services) -> bool;

    /// Ends it, when all that was sent has been received or is given up.
    fn close(&mut self, services: &mut Services);

    /// What becomes of output that is not taken.
    fn patience(&self) -> Patience {
        Patience::Limited
    }
}
