//! A session, the link that it is reached by, and what is known about both.

use super::link::{Link, Patience, Received};
use crate::host::Services;
use crate::people::Arrival;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use hv_core::time::Instant;
use net::login::{Origin, Status, Ticket};
use shell::access::User;
use shell::session::{Lifetime, Options, Session, SessionId, TerminalKind};
use shell::terminal_size::TerminalSize;

/// Pieces of output that are sent in one poll, of at most [`PIECE`] bytes.
const PIECES: usize = 8;
const PIECE: usize = 256;
/// How long a link may take nothing before output is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a link that is closed has to send what is left.
const LINGER: Duration = Duration::from_secs(3);
/// How often it is looked whether somebody from afar is to be logged out.
const LOOK: Duration = Duration::from_millis(500);

/// Who sits down.
pub(crate) struct Newcomer {
    pub(crate) user: User,
    pub(crate) origin: Origin,
    pub(crate) terminal: TerminalKind,
    /// The terminal's size, if it is known.
    pub(crate) size: Option<TerminalSize>,
    /// Of whoever has logged in.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) lifetime: Lifetime,
    /// What is said before anything else.
    pub(crate) welcome: Option<String>,
    /// What runs before anything is typed.
    pub(crate) script: Option<Script>,
}

impl Newcomer {
    /// Whoever is at the serial port, which asks for no login, or the script of the boot.
    pub(crate) fn local(
        terminal: TerminalKind,
        lifetime: Lifetime,
        script: Option<Script>,
    ) -> Self {
        Self {
            user: User::local(),
            origin: Origin::Serial,
            terminal,
            size: None,
            ticket: None,
            lifetime,
            welcome: None,
            script,
        }
    }
}

/// A script of the boot.
pub(crate) enum Script {
    /// A file of the bundle.
    File(&'static str, String),
    /// A value of Roost's command line.
    Commands(&'static str, String),
}

/// What is next in a seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// There is nothing to do until then.
    Until(Instant),
    /// The session is over.
    Over,
}

/// How far a seat is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Open,
    /// What was said last is being sent, until then.
    Closing(Instant),
}

/// One user's place.
pub(super) struct Seat {
    id: SessionId,
    session: Session,
    link: Box<dyn Link>,
    ticket: Option<Ticket>,
    phase: Phase,
    /// Since when the link takes nothing of what there is.
    stuck_since: Option<Instant>,
    /// Bytes that were lost since that was last told.
    lost: u64,
}

impl Seat {
    pub(super) fn new(
        id: SessionId,
        link: Box<dyn Link>,
        who: Newcomer,
        services: &mut Services,
    ) -> Self {
        let Newcomer { user, origin, terminal, size, ticket, lifetime, welcome, script } = who;
        let arrival = Arrival { user: user.name.clone(), origin, link: link.name(), ticket };
        services.people_mut().arrive(id, arrival);
        let mut session = Session::new(id, Options { terminal, user, lifetime });
        if let Some(size) = size {
            session.set_size(size);
        }
        if let Some(welcome) = welcome {
            session.notify(&welcome);
        }
        match script {
            Some(Script::File(name, text)) => session.run_script(name, &text),
            Some(Script::Commands(name, text)) => session.run_commands(name, &text),
            None => {}
        }
        Self { id, session, link, ticket, phase: Phase::Open, stuck_since: None, lost: 0 }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// What the session is reached by.
    pub(super) fn link(&self) -> &'static str {
        self.link.name()
    }

    /// Whether all that the session said has been received.
    pub(super) fn is_drained(&self, services: &mut Services) -> bool {
        !self.session.has_output() && self.link.is_drained(services)
    }

    pub(super) fn notify(&mut self, text: &str) {
        self.session.notify(text);
    }

    /// A bounded amount of work.
    pub(super) fn poll(&mut self, services: &mut Services, now: Instant) -> State {
        if let Phase::Closing(until) = self.phase {
            self.link.room(services);
            let is_over = now >= until || self.link.is_drained(services);
            return if is_over { State::Over } else { State::Until(until.min(now + LOOK)) };
        }
        let received = self.link.receive(&mut self.session, services);
        match received {
            Received::Nothing => {}
            Received::Keys | Received::Patience => services.people_mut().typed(self.id, now),
            Received::Gone => return State::Over,
        }
        services.set_caller(self.id);
        self.session.poll(services, Duration::from_nanos(now.0));
        services.people_mut().does(self.id, self.session.doing());
        self.send(services, now);
        if let Some(why) = self.verdict(services, now) {
            self.link.part(why, services);
            return self.begin_closing(now);
        }
        if self.session.has_ended() && !self.session.has_output() {
            services.people_mut().log_out(self.id, now);
            return self.begin_closing(now);
        }
        // Of what has come behind that nobody tells.
        State::Until(if received == Received::Keys { now } else { self.next(services, now) })
    }

    /// The session is over: lets go of all that it holds.
    pub(super) fn end(&mut self, services: &mut Services) {
        services.set_caller(self.id);
        self.session.close(services, Duration::from_nanos(hv_core::host::now().0));
        self.link.close(services);
        services.people_mut().leave(self.id);
    }

    fn begin_closing(&mut self, now: Instant) -> State {
        self.phase = Phase::Closing(now + LINGER);
        State::Until(now)
    }

    /// Why the session is to end, if it is.
    fn verdict(&self, services: &mut Services, now: Instant) -> Option<&'static str> {
        match services.people_mut().status(self.ticket?, now) {
            Status::Closed(why) => Some(why.reason()),
            Status::Asking | Status::Busy | Status::Wrong | Status::In => None,
        }
    }

    /// Sends what the session has to say, as far as there is room.
    fn send(&mut self, services: &mut Services, now: Instant) {
        let mut buf = [0; PIECE];
        for _ in 0..PIECES {
            let room = self.link.room(services).min(PIECE);
            if room == 0 {
                self.lose(services, now);
                return;
            }
            self.stuck_since = None;
            let lost = core::mem::take(&mut self.lost);
            if lost > 0 {
                self.say(&format!("\r\n[{lost} bytes of output were lost]\r\n"), services);
                continue;
            }
            let count = buf.get_mut(..room).map_or(0, |buf| self.session.take_output(buf));
            match buf.get(..count) {
                Some(bytes) if count > 0 => self.link.send(bytes, services),
                _ => return,
            }
        }
    }

    /// The link takes nothing: in the end, what it does not take is lost, and the session goes on.
    fn lose(&mut self, services: &mut Services, now: Instant) {
        if !self.session.has_output() || self.link.patience() == Patience::Endless {
            return;
        }
        let since = *self.stuck_since.get_or_insert(now);
        if now.since(since) < PATIENCE {
            return;
        }
        let mut buf = [0; PIECE];
        for _ in 0..PIECES {
            let count = self.session.take_output(&mut buf) as u64;
            self.lost += count;
            services.people_mut().lost(self.id, count);
        }
    }

    /// Sends a text of our own, as much as there is room for.
    fn say(&mut self, text: &str, services: &mut Services) {
        let room = self.link.room(services);
        let bytes = text.as_bytes();
        self.link.send(bytes.get(..room.min(bytes.len())).unwrap_or_default(), services);
    }

    /// When there is more to do.
    fn next(&mut self, services: &mut Services, now: Instant) -> Instant {
        let can_send = self.session.has_output() && self.link.room(services) > 0;
        if self.session.needs_poll() || self.session.has_outcome() || can_send {
            return now;
        }
        let deadline = self.session.next_deadline();
        // One that is further off than there are nanoseconds is never.
        let deadline = deadline.map_or(Instant::NEVER, |at| Instant(0) + at);
        let stuck = match self.stuck_since {
            Some(since) if self.session.has_output() => (since + PATIENCE).max(now),
            Some(_) | None => Instant::NEVER,
        };
        let look = if self.ticket.is_some() { now + LOOK } else { Instant::NEVER };
        deadline.min(stuck).min(look)
    }
}
