//! Somebody who has connected, and is to say who it is.

use super::Purpose;
use super::line::{Line, Peer};
use crate::host::Services;
use crate::people::time;
use crate::sessions::{Link, Newcomer, Script};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use hv_core::time::Instant;
use net::login::{Answer, Dialog, Echo, Origin, Status, Ticket};
use net::telnet::Mode;
use shell::session::Lifetime;

/// What is said first. What answers here is known by its prompt alone.
const GREETING: &[u8] = b"Roost\r\n\r\n";
const WRONG: &[u8] = b"Login incorrect.\r\n\r\n";
/// How long what is said last may take.
const LINGER: Duration = Duration::from_secs(3);

/// What is next.
pub(super) enum Next {
    /// More questions.
    Stay,
    /// A session.
    Enter(Newcomer),
    /// Nothing.
    Leave,
}

/// Where the conversation is.
enum Stage {
    /// Nothing was said.
    New,
    Asking,
    /// What was said last is being sent, until then.
    Leaving(Instant),
}

/// A connection of nobody yet.
pub(super) struct Visitor {
    line: Line,
    purpose: Purpose,
    from: IpAddr,
    ticket: Ticket,
    dialog: Dialog,
    stage: Stage,
}

impl Visitor {
    pub(super) fn new(line: Line, purpose: Purpose, from: IpAddr, ticket: Ticket) -> Self {
        Self { line, purpose, from, ticket, dialog: Dialog::new(), stage: Stage::New }
    }

    /// The line, for the session.
    pub(super) fn into_link(self) -> Box<dyn Link> {
        Box::new(self.line)
    }

    /// Whether it has said something, and may have said more.
    pub(super) fn has_spoken(&self) -> bool {
        self.line.has_received()
    }

    /// The end of it.
    pub(super) fn leave(&mut self, services: &mut Services, now: Instant) {
        self.line.end(services);
        services.people_mut().gate().disconnect(self.ticket, time(now));
    }

    /// A bounded amount of work.
    pub(super) fn poll(&mut self, services: &mut Services, now: Instant) -> Next {
        if self.line.pump(services) == Peer::Gone {
            return Next::Leave;
        }
        if let Stage::Leaving(until) = self.stage {
            let is_over = now >= until || self.line.is_done(services);
            return if is_over { Next::Leave } else { Next::Stay };
        }
        if matches!(self.stage, Stage::New) {
            self.stage = Stage::Asking;
            self.line.write(GREETING, services);
            self.line.write(self.dialog.prompt(), services);
        }
        match services.people_mut().status(self.ticket, now) {
            Status::Asking => self.converse(services, now),
            Status::Busy => Next::Stay,
            Status::Wrong => {
                services.people_mut().gate().ask_again(self.ticket);
                self.line.write(WRONG, services);
                self.line.write(self.dialog.prompt(), services);
                Next::Stay
            }
            Status::In => self.enter(services),
            Status::Closed(why) => {
                self.line.write(format!("\r\n[{}]\r\n", why.reason()).as_bytes(), services);
                self.go(now)
            }
        }
    }

    fn go(&mut self, now: Instant) -> Next {
        self.stage = Stage::Leaving(now + LINGER);
        Next::Stay
    }

    /// Hands what was typed to the dialog, as long as it has no answer. Who does not read what is said is not listened to.
    fn converse(&mut self, services: &mut Services, now: Instant) -> Next {
        if !self.line.is_free() || !self.line.has_typed() {
            return Next::Stay;
        }
        let typed = Secret(self.line.take_typed());
        let echo = match self.line.mode() {
            Mode::Character => Echo::Server,
            Mode::Line => Echo::Client,
        };
        let mut shown = Vec::new();
        let mut bytes = typed.0.iter();
        let answer = bytes.by_ref().find_map(|&byte| self.dialog.feed(byte, echo, &mut shown));
        self.line.put_back(bytes.as_slice());
        self.line.write(&shown, services);
        match answer {
            None => Next::Stay,
            Some(Answer::Leave) => self.go(now),
            Some(Answer::Login { name, password }) => {
                services.people_mut().gate().answer(self.ticket, &name, password);
                Next::Stay
            }
        }
    }

    fn enter(&mut self, services: &mut Services) -> Next {
        let people = services.people_mut();
        let origin = Origin::Remote(self.from);
        let name = people.gate().user(self.ticket).map(|user| user.name().into());
        let name: Option<alloc::string::String> = name;
        let Some(user) = name.and_then(|name| people.user(&name, origin)) else {
            return Next::Leave;
        };
        let (terminal, size) = self.line.terminal();
        let (welcome, lifetime, script) = match self.purpose {
            Purpose::Shell => {
                let welcome = format!("Logged in as {}. 'help' lists the commands.", user.name);
                (Some(welcome), Lifetime::Login, None)
            }
            Purpose::Console(vm) => {
                let script = Script::Commands("console", format!("vm console {vm}"));
                (None, Lifetime::Script, Some(script))
            }
        };
        Next::Enter(Newcomer {
            welcome,
            user,
            origin,
            terminal,
            size,
            ticket: Some(self.ticket),
            lifetime,
            script,
        })
    }
}

/// What was typed: it may be a password, and does not stay in memory.
struct Secret(Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the zeroes are written though nobody reads them.
        core::hint::black_box(&self.0);
    }
}
