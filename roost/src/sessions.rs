//! All sessions of the shell, polled in turn with a bounded amount of work each.
//!
//! ```text
//!   serial port ─▶ Serial ─┐                 ┌─ Session ─┐
//!   TCP ─▶ Telnet ─────────┼─ Link ─▶ Seat ──┤           ├─▶ Services (Host)
//!   ...                    ┘                 └─ ticket ──┘     └─ People: who is here
//! ```
//!
//! A [`Link`] is a stream of bytes in both directions, and what else the other end can say: the size of its window, that it
//! is gone. What it is made of is its own affair; one for SSH would be a channel's data and its window changes. A [`Seat`]
//! is a link with the session at it. Nobody waits for anybody: a link that takes nothing for a while loses output, which is
//! counted, and told when it takes some again.

mod door;
mod link;
mod seat;
mod serial;

pub(crate) use door::Door;
pub(crate) use link::{Link, Received};
pub(crate) use seat::{Newcomer, Script};
pub(crate) use serial::Serial;

use crate::host::Services;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use seat::{Seat, State};
use shell::host::Registry;
use shell::session::SessionId;

/// How long the end of the machine waits for whoever wanted it to receive what was said last.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long it waits for the others to receive that it comes.
const LAST_NOTE: Duration = Duration::from_secs(1);

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    seats: Vec<Seat>,
    next: u32,
    /// Since when the machine is to end, if everybody was told.
    parting_since: Option<Instant>,
}

impl Sessions {
    /// A session begins.
    pub(crate) fn add(&mut self, link: Box<dyn Link>, who: Newcomer, services: &mut Services) {
        let id = SessionId(self.next);
        self.next += 1;
        self.seats.push(Seat::new(id, link, who, services));
    }

    /// Whether a session has the serial port.
    fn have_serial(&self) -> bool {
        self.seats.iter().any(|seat| seat.link() == Serial::NAME)
    }

    /// Does some work in each; when there is more to do. Guests may run until then.
    pub(crate) fn poll(&mut self, services: &mut Services) -> Instant {
        let now = host::now();
        let mut next = Instant::NEVER;
        self.seats.retain_mut(|seat| match seat.poll(services, now) {
            State::Until(at) => {
                next = next.min(at);
                true
            }
            State::Over => {
                seat.end(services);
                false
            }
        });
        next
    }

    /// Whether everybody has received that the machine ends, and all before it, or does not listen.
    pub(crate) fn have_parted(&mut self, services: &mut Services) -> bool {
        let Some((asker, since)) = services.asker() else { return true };
        if self.parting_since != Some(since) {
            self.parting_since = Some(since);
            let text = format!("[{} ends the machine]", services.people_mut().title(asker));
            self.seats
                .iter_mut()
                .filter(|seat| seat.id() != asker)
                .for_each(|seat| seat.notify(&text));
            return false;
        }
        let passed = host::now().since(since);
        self.seats.iter().all(|seat| {
            let patience = if seat.id() == asker { LAST_WORDS } else { LAST_NOTE };
            passed >= patience || seat.is_drained(services)
        })
    }
}
