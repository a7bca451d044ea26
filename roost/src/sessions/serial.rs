//! The serial port as a link.

use super::link::{Link, Patience, Received};
use crate::host::Services;
use hv_core::console::{self, Reception};
use shell::session::Session;

/// Bytes that are sent at once.
const CHUNK: usize = 256;

/// The host's serial port. There is one, and it is never gone.
pub(crate) struct Serial;

impl Serial {
    /// What it is called.
    pub(super) const NAME: &'static str = "serial";
}

impl Link for Serial {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn receive(&mut self, session: &mut Session, _: &mut Services) -> Received {
        console::service();
        let mut buf = [0; 128];
        let room = session.input_room().min(buf.len());
        // Without room, what was received stays in the UART, and must not interrupt for as long as it does.
        console::set_reception(if room == 0 { Reception::Refused } else { Reception::Wanted });
        let count = buf.get_mut(..room).map_or(0, console::read);
        session.input(buf.get(..count).unwrap_or_default());
        if count > 0 { Received::Keys } else { Received::Nothing }
    }

    fn room(&mut self, _: &mut Services) -> usize {
        if console::is_drained() { CHUNK } else { 0 }
    }

    fn send(&mut self, mut bytes: &[u8], _: &mut Services) {
        // What the UART does not take at once has room in the console's queue.
        while !bytes.is_empty() {
            let taken = console::write(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    fn is_drained(&self, _: &mut Services) -> bool {
        console::is_drained()
    }

    fn close(&mut self, _: &mut Services) {}

    fn patience(&self) -> Patience {
        Patience::Endless
    }
}
