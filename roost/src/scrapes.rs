//! The port for Prometheus: `GET /metrics`, one answer on each connection, without a login.
//!
//! Whoever is slow, on purpose or not, has [`LIFETIME`]; there are as many connections at once as the port has sockets, and
//! figures are made once for each, up to a bound.

use crate::host::Services;
use crate::people::time;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use net::metrics::{LONGEST_HEAD, Request, Response, Status, parse};
use net::stack::{Connection, ListenConfig, ListenerId};

/// The time for a request and its answer.
const LIFETIME: Duration = Duration::from_secs(15);
/// The longest answer.
const LONGEST_ANSWER: usize = 256 << 10;
const PIECE: usize = 512;
const LISTEN: ListenConfig =
    ListenConfig { connections: 6, receive_bytes: 1 << 10, send_bytes: 8 << 10, timeout: LIFETIME };

/// The port, and who is being answered.
pub(crate) struct Scrapes {
    port: Option<u16>,
    listener: Option<ListenerId>,
    scrapes: Vec<Scrape>,
}

/// A connection.
struct Scrape {
    connection: Connection,
    until: Instant,
    /// What has come.
    request: Vec<u8>,
    /// What is to be sent, once the request is whole, and how much of it was.
    answer: Option<Vec<u8>>,
    sent: usize,
}

/// What is next.
enum State {
    Open,
    /// All is said.
    Done,
    /// It took too long, or nobody is there.
    Failed,
}

impl Scrapes {
    /// On this port, or off.
    pub(crate) fn new(port: Option<u16>) -> Self {
        Self { port, listener: None, scrapes: Vec::new() }
    }

    /// Answers; when to look again.
    pub(crate) fn poll(&mut self, services: &mut Services) -> Instant {
        self.listen(services);
        let now = host::now();
        while self.accept(services, now) {}
        let mut next = Instant::NEVER;
        self.scrapes.retain_mut(|scrape| {
            let state = scrape.poll(services, now);
            let Some(stack) = services.stack() else { return false };
            match state {
                State::Open => {
                    next = next.min(scrape.until);
                    return true;
                }
                State::Done => stack.close(scrape.connection, time(now)),
                State::Failed => stack.abort(scrape.connection, time(now)),
            }
            services.has_sent();
            false
        });
        next
    }

    fn listen(&mut self, services: &mut Services) {
        let (None, Some(port)) = (self.listener, self.port) else { return };
        let Some(stack) = services.stack() else { return };
        match stack.listen(port, &LISTEN) {
            Ok(listener) => {
                log::info!("metrics are on port {port}");
                self.listener = Some(listener);
            }
            Err(_) => {
                log::error!("metrics cannot be on port {port}: it is taken");
                self.port = None;
            }
        }
    }

    /// Takes a connection, if there is one. There are no more than sockets.
    fn accept(&mut self, services: &mut Services, now: Instant) -> bool {
        let Some(listener) = self.listener else { return false };
        let Some(stack) = services.stack() else { return false };
        let Some(connection) = stack.accept(listener) else { return false };
        let peer = stack.peer(connection);
        if peer.is_some_and(|peer| services.people_mut().gate().allows(peer.ip())) {
            let until = now + LIFETIME;
            let (request, answer, sent) = (Vec::new(), None, 0);
            self.scrapes.push(Scrape { connection, until, request, answer, sent });
        } else if let Some(stack) = services.stack() {
            stack.abort(connection, time(now));
            services.has_sent();
        }
        true
    }
}

impl Scrape {
    fn poll(&mut self, services: &mut Services, now: Instant) -> State {
        if now >= self.until {
            return State::Failed;
        }
        if self.answer.is_none() {
            if !self.receive(services) {
                return State::Failed;
            }
            self.answer = match parse(&self.request) {
                Request::More => return State::Open,
                Request::Answer(status, response) => Some(answer(status, response, services)),
            };
        }
        let rest = self.answer.as_deref().and_then(|answer| answer.get(self.sent..));
        let rest = rest.unwrap_or_default();
        let Some(stack) = services.stack() else { return State::Failed };
        match stack.send(self.connection, rest) {
            Ok(count) if count == rest.len() => State::Done,
            Ok(count) => {
                self.sent += count;
                if count > 0 {
                    services.has_sent();
                }
                State::Open
            }
            Err(_) => State::Failed,
        }
    }

    /// Reads what has come. Whether somebody is there.
    fn receive(&mut self, services: &mut Services) -> bool {
        let mut buf = [0; PIECE];
        while self.request.len() < LONGEST_HEAD {
            let Some(stack) = services.stack() else { return false };
            match stack.receive(self.connection, &mut buf) {
                Ok(0) => return true,
                Ok(count) => {
                    self.request.extend(buf.get(..count).unwrap_or_default());
                    services.has_sent();
                }
                // What has come may be a whole request; if not, nothing completes it.
                Err(_) => return parse(&self.request) != Request::More,
            }
        }
        true
    }
}

/// The head of an answer, and what is behind it.
fn answer(status: Status, response: Response, services: &Services) -> Vec<u8> {
    let mut content = Bounded(String::new());
    let mut status = status;
    if status == Status::Ok && services.figures(&mut content).is_err() {
        status = Status::TooMuch;
        content.0.clear();
    }
    if status != Status::Ok {
        content.0.push_str(status.content());
    }
    let mut answer = status.head(content.0.len()).into_bytes();
    if response == Response::Whole {
        answer.extend(content.0.as_bytes());
    }
    answer
}

/// Text up to a bound.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST_ANSWER {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn figures_have_a_bound_and_half_of_them_are_none() {
        let mut text = Bounded(String::new());
        let line = "x".repeat(1 << 10);
        let lines = (0..1000).take_while(|_| text.write_str(&line).is_ok()).count();
        assert_eq!(lines, LONGEST_ANSWER / line.len());
        assert_eq!(text.0.len(), LONGEST_ANSWER);
    }
}
