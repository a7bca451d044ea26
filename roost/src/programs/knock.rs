//! A connection of a program until it is logged in.

use super::stream::{Presence, Stream};
use crate::host::Services;
use crate::people::time;
use core::net::IpAddr;
use core::time::Duration;
use hv_core::time::Instant;
use net::login::{Status, Ticket};
use net::stack::Connection;
use net::wire::{FailureKind, Reply, Request};

/// How often it is looked whether it took too long.
const LOOK: Duration = Duration::from_millis(500);

/// What is next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Nothing until then.
    Until(Instant),
    /// It is logged in.
    In,
    /// It is to be closed.
    Over,
}

/// A connection that is not logged in.
pub(super) struct Knock {
    pub(super) stream: Stream,
    pub(super) ticket: Ticket,
    pub(super) from: IpAddr,
}

impl Knock {
    pub(super) fn new(connection: Connection, ticket: Ticket, from: IpAddr) -> Self {
        let mut stream = Stream::new(connection);
        stream.reply(&Reply::Hello { version: env!("CARGO_PKG_VERSION") });
        Self { stream, ticket, from }
    }

    /// A bounded amount of work: at most one line.
    pub(super) fn poll(&mut self, services: &mut Services, now: Instant) -> State {
        let presence = self.stream.exchange(services);
        if presence == Presence::Gone {
            return State::Over;
        }
        match services.people_mut().status(self.ticket, now) {
            Status::In => return State::In,
            Status::Closed(why) => {
                self.say(FailureKind::Closing, why.reason(), services);
                return State::Over;
            }
            Status::Wrong => {
                self.say(FailureKind::Login, "wrong name or password", services);
                services.people_mut().gate().ask_again(self.ticket);
                return State::Until(now);
            }
            Status::Busy => return State::Until(now + LOOK),
            Status::Asking => {}
        }
        match self.stream.request() {
            Some(request) => self.obey(request, services, now),
            None if presence == Presence::There => State::Until(now + LOOK),
            None => State::Over,
        }
    }

    fn obey(&mut self, request: Request, services: &mut Services, now: Instant) -> State {
        match request {
            Request::Login { name, password } => {
                let gate = services.people_mut().gate();
                gate.answer(self.ticket, name.as_bytes(), password.into_bytes());
            }
            Request::Nothing | Request::Quit => {
                self.stream.reply(&Reply::Text(""));
                self.stream.flush(services);
                if request == Request::Quit {
                    return State::Over;
                }
            }
            Request::Wrong(kind, why) => self.say(kind, why, services),
            Request::Listings(_) | Request::Size { .. } | Request::Command(_) => {
                let why = "nobody is logged in: write login NAME PASSWORD";
                self.say(FailureKind::Login, why, services);
            }
        }
        State::Until(now)
    }

    fn say(&mut self, kind: FailureKind, message: &str, services: &mut Services) {
        self.stream.reply(&Reply::Failed { kind, message });
        self.stream.flush(services);
    }

    /// Closes it.
    pub(super) fn end(self, services: &mut Services, now: Instant) {
        self.stream.close(services);
        services.people_mut().gate().disconnect(self.ticket, time(now));
    }
}
