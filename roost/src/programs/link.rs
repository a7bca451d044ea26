//! A program that is logged in, as a link of the shell's sessions: its lines are the session's commands, and what came of them
//! is its answers.

use super::stream::{Presence, Stream};
use crate::host::Services;
use crate::sessions::{Link, Received};
use alloc::format;
use alloc::string::{String, ToString as _};
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use net::wire::{self, FailureKind, Reply, Request};
use shell::access::User;
use shell::error::Error;
use shell::session::{Listings, Outcome, Session};
use shell::terminal_size::TerminalSize;

/// Lines that are obeyed in one poll.
const LINES: usize = 16;
/// Bytes of a console that are taken when all before are on their way.
const ROOM: usize = 2048;
/// How long an answer waits for a program that takes nothing of it: half of one is of no use, so that nothing is dropped.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a command may go on when its program says no more, as one does that sends a script and the end of it at once.
const GRACE: Duration = Duration::from_secs(2);

/// What the connection is at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Lines are obeyed.
    Lines,
    /// A command runs.
    Busy,
    /// All bytes are a console's.
    Console,
    /// What was said last is on its way.
    Leaving,
}

/// A program.
pub(super) struct Program {
    stream: Stream,
    phase: Phase,
    listings: Listings,
    /// Since when it says no more, and a command runs.
    silent_since: Option<Instant>,
}

impl Program {
    /// A program that has just logged in.
    pub(super) fn new(mut stream: Stream, user: &User) -> Self {
        let role = user.role.map_or_else(|| "null".into(), |role| format!("\"{role}\""));
        // A user's name has nothing that JSON would escape.
        let document = format!("{{\"user\":\"{}\",\"role\":{role}}}", user.name);
        stream.reply(&Reply::Json(&document));
        Self { stream, phase: Phase::Lines, listings: Listings::default(), silent_since: None }
    }

    /// Answers what came of the command that ran.
    fn tell(&mut self, outcome: &Outcome) {
        self.phase = Phase::Lines;
        // The next command has a time of its own.
        self.silent_since = None;
        let message: String;
        let reply = match outcome {
            Outcome::Json(document) => Reply::Json(document),
            Outcome::Text(text) => Reply::Text(text),
            Outcome::Attached(document) => {
                self.phase = Phase::Console;
                Reply::Attached(document)
            }
            Outcome::Failed(error) => {
                message = error.to_string();
                let kind = match error {
                    Error::Forbidden(_) => FailureKind::Forbidden,
                    Error::Message(_) => FailureKind::Command,
                };
                Reply::Failed { kind, message: &message }
            }
        };
        self.stream.reply(&reply);
    }

    /// Obeys lines up to the first that takes time. Whether there was one.
    fn obey(&mut self, session: &mut Session, services: &mut Services) -> Received {
        let mut received = Received::Nothing;
        for _ in 0..LINES {
            let Some(request) = self.stream.request() else { break };
            received = Received::Keys;
            self.obey_one(request, session);
            self.stream.flush(services);
            if self.phase != Phase::Lines {
                break;
            }
        }
        received
    }

    fn obey_one(&mut self, request: Request, session: &mut Session) {
        let done = Reply::Text("");
        let reply = match request {
            Request::Command(line) => {
                session.execute(&line, self.listings);
                self.phase = Phase::Busy;
                return;
            }
            Request::Listings(listings) => {
                self.listings = match listings {
                    wire::Listings::Json => Listings::Json,
                    wire::Listings::Text => Listings::Text,
                };
                done
            }
            Request::Size { columns, rows } => {
                session.set_size(TerminalSize { columns, rows });
                done
            }
            Request::Nothing => done,
            Request::Quit => {
                self.phase = Phase::Leaving;
                done
            }
            Request::Wrong(kind, message) => Reply::Failed { kind, message },
            Request::Login { .. } => {
                let message = "this connection is logged in already";
                Reply::Failed { kind: FailureKind::Login, message }
            }
        };
        self.stream.reply(&reply);
    }

    /// Whether a program that says no more has had its time.
    fn has_had_its_time(&mut self) -> bool {
        let now = host::now();
        now.since(*self.silent_since.get_or_insert(now)) >= GRACE
    }
}

impl Link for Program {
    fn name(&self) -> &'static str {
        "program"
    }

    fn receive(&mut self, session: &mut Session, services: &mut Services) -> Received {
        if let Some(outcome) = session.take_outcome() {
            self.tell(&outcome);
        }
        if self.phase == Phase::Console && !session.is_attached() {
            self.phase = Phase::Leaving;
        }
        let presence = self.stream.exchange(services);
        if self.phase != Phase::Console && self.stream.is_stuck(PATIENCE) {
            return Received::Gone;
        }
        let received = match self.phase {
            Phase::Lines => self.obey(session, services),
            // It waits for its answer, which is not idle.
            Phase::Busy => Received::Patience,
            Phase::Console => match self.stream.hand_over(|bytes| session.input(bytes)) {
                0 => Received::Nothing,
                _ => Received::Keys,
            },
            Phase::Leaving if self.stream.is_flushed() && !session.has_output() => Received::Gone,
            Phase::Leaving => Received::Nothing,
        };
        match (presence, self.phase) {
            (Presence::Gone, _) => Received::Gone,
            (Presence::Silent, Phase::Busy) if self.has_had_its_time() => Received::Gone,
            (Presence::Silent, Phase::Lines | Phase::Console) if received == Received::Nothing => {
                if self.stream.is_flushed() {
                    Received::Gone
                } else {
                    Received::Nothing
                }
            }
            (Presence::There | Presence::Silent, _) => received,
        }
    }

    fn room(&mut self, services: &mut Services) -> usize {
        self.stream.flush(services);
        match self.phase {
            Phase::Console | Phase::Leaving if self.stream.is_flushed() => ROOM,
            // What a console shows comes behind the answer that says that it is one.
            Phase::Console | Phase::Leaving | Phase::Busy | Phase::Lines => 0,
        }
    }

    fn send(&mut self, bytes: &[u8], services: &mut Services) {
        self.stream.send(bytes);
        self.stream.flush(services);
    }

    fn part(&mut self, why: &str, services: &mut Services) {
        match self.phase {
            Phase::Console => self.stream.send(format!("\r\n[{why}]\r\n").as_bytes()),
            Phase::Lines | Phase::Busy | Phase::Leaving => {
                self.stream.reply(&Reply::Failed { kind: FailureKind::Closing, message: why });
            }
        }
        self.stream.flush(services);
    }

    fn is_drained(&self, services: &mut Services) -> bool {
        self.stream.is_drained(services)
    }

    fn close(&mut self, services: &mut Services) {
        self.stream.close(services);
    }
}
