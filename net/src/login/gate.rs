//! The gate: every connection from its beginning to its end.
//!
//! ```text
//!    connect ─▶ Asking ─ answer ─▶ Waiting ─ its turn ─▶ Hashing ─ right ─▶ In ─▶ disconnect
//!                 ▲                                         │ wrong
//!                 └─────────────────────────────────────────┘   too often, too late: Closed
//! ```
//!
//! Whether there may be an attempt is asked when its hash is begun, and there is one hash at a time: so attempts on many
//! connections at once are no more than the same ones after each other.

use super::argon2::{Hasher, Progress};
use super::audit::{Act, Audit, Entry, Origin};
use super::network::{Network, Networks};
use super::phc::PasswordHash;
use super::throttle::{Throttle, ThrottleConfig, Turn};
use super::user::{Directory, LONGEST_NAME};
use crate::bucket::{Rate, Taken, TokenBucket};
use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

/// Entries about connections that were refused: a flood of them shall not push all else out of the audit.
const REFUSALS_TOLD: Rate = Rate { per_second: 1, burst: 10 };

/// What is allowed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Where connections may come from.
    pub networks: Networks,
    /// Sessions at once.
    pub sessions: usize,
    /// Connections at once that are not logged in.
    pub strangers: usize,
    /// Of those, the ones from one address (or a /64 of IPv6).
    pub strangers_of_address: usize,
    /// Wrong passwords on one connection.
    pub attempts: u32,
    /// The time until somebody must be logged in.
    pub login_timeout: Duration,
    /// The time without input after which a session ends; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// What wrong passwords lead to, by address and by name.
    pub throttle: ThrottleConfig,
    /// Entries of the audit.
    pub audit: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            networks: Networks::default(),
            sessions: 8,
            strangers: 16,
            strangers_of_address: 4,
            attempts: 3,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Some(Duration::from_secs(30 * 60)),
            throttle: ThrottleConfig {
                first_delay: Duration::from_secs(1),
                longest_delay: Duration::from_secs(16),
                lock_after: 10,
                lock: Duration::from_secs(15 * 60),
                keys: 256,
            },
            audit: 512,
        }
    }
}

/// A connection that was let in so far.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// Why a connection is closed at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejected {
    /// There is no user.
    NoUsers,
    /// It is not from a network that is allowed.
    Network,
    /// There were too many wrong passwords from there.
    LockedOut,
    /// There are too many connections that are not logged in.
    Strangers,
}

impl Rejected {
    /// The reason in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoUsers => "nobody can log in",
            Self::Network => "its network is not allowed",
            Self::LockedOut => "too many wrong passwords from this address",
            Self::Strangers => "too many connections without login",
        }
    }
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Name and password are to be asked for.
    Asking,
    /// They are looked at; that may take long.
    Busy,
    /// They were wrong, and the client is to be told, until [`Gate::ask_again`].
    Wrong,
    /// The user is logged in.
    In,
    /// It is to be closed.
    Closed(Closed),
}

/// Whether there is work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Working {
    /// Nobody's password is to be hashed now. Somebody's may be when a delay is over.
    Idle,
    /// There is more to do.
    More,
}

/// Why a connection is to be closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// Nobody logged in in time.
    LoginTimeout,
    /// Nobody typed anything for long.
    Idle,
    /// There were too many wrong passwords.
    TooManyAttempts,
    /// There are as many sessions as there can be.
    TooManySessions,
    /// There is no memory for the hash.
    NoMemory,
    /// An administrator wanted it.
    Killed,
    /// The user wanted it.
    LoggedOut,
    /// There is no such connection.
    Unknown,
}

impl Closed {
    /// The reason in words.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::LoginTimeout => "no login in time",
            Self::Idle => "idle for too long",
            Self::TooManyAttempts => "too many wrong passwords",
            Self::TooManySessions => "too many sessions",
            Self::NoMemory => "out of memory",
            Self::Killed => "ended by an administrator",
            Self::LoggedOut => "by the user",
            Self::Unknown => "gone",
        }
    }
}

/// A password that does not stay in memory.
struct Secret(Vec<u8>);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the zeroes are written though nobody reads them.
        core::hint::black_box(&self.0);
    }
}

enum State {
    Asking,
    Waiting { name: String, password: Secret },
    Hashing,
    Wrong,
    In { user: String },
    Closed(Closed),
}

struct Connection {
    ticket: Ticket,
    origin: Origin,
    since: Instant,
    /// When it last got or gave something.
    active: Instant,
    attempts: u32,
    state: State,
}

impl Connection {
    /// What stands for its address; the serial line has the one that nobody has.
    fn place(&self) -> Network {
        Network::of_one(match self.origin {
            Origin::Remote(address) => address,
            Origin::Serial => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        })
    }
}

/// The hash that is being made.
struct Work {
    ticket: Ticket,
    name: String,
    expected: PasswordHash,
    hasher: Hasher,
}

/// All connections from afar.
pub struct Gate {
    limits: Limits,
    users: Directory,
    connections: Vec<Connection>,
    work: Option<Work>,
    by_address: Throttle<Network>,
    by_name: Throttle<String>,
    audit: Audit,
    refusals: TokenBucket,
    next: u64,
}

impl Gate {
    /// A gate without connections.
    #[must_use]
    pub fn new(users: Directory, limits: Limits, now: Instant) -> Self {
        Self {
            by_address: Throttle::new(limits.throttle),
            by_name: Throttle::new(limits.throttle),
            audit: Audit::new(limits.audit),
            refusals: TokenBucket::new(REFUSALS_TOLD, now),
            limits,
            users,
            connections: Vec::new(),
            work: None,
            next: 0,
        }
    }

    /// The users.
    #[must_use]
    pub fn users(&self) -> &Directory {
        &self.users
    }

    /// The users, to change passwords.
    pub fn users_mut(&mut self) -> &mut Directory {
        &mut self.users
    }

    /// Whether connections may come from there at all.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.limits.networks.allow(address)
    }

    /// What was done.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// What was done, for those who do more.
    pub fn audit_mut(&mut self) -> &mut Audit {
        &mut self.audit
    }

    /// Somebody has connected.
    ///
    /// # Errors
    ///
    /// If that is to be closed at once.
    pub fn connect(&mut self, address: IpAddr, now: Instant) -> Result<Ticket, Rejected> {
        let origin = Origin::Remote(address);
        if let Err(why) = self.admit(address, now) {
            if self.refusals.take(1, now) == Taken::Yes {
                self.audit.add(Entry::new(now, None, origin, Act::Refused(why.reason())));
            }
            return Err(why);
        }
        Ok(self.admitted(origin, now))
    }

    /// Somebody is at the serial line. There is one, so that this is never refused; and there is no time in which somebody
    /// must be logged in.
    pub fn connect_serial(&mut self, now: Instant) -> Ticket {
        self.admitted(Origin::Serial, now)
    }

    fn admitted(&mut self, origin: Origin, now: Instant) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        let state = State::Asking;
        let connection = Connection { ticket, origin, since: now, active: now, attempts: 0, state };
        self.connections.push(connection);
        ticket
    }

    /// Somebody says who it is. Ignored unless it was [asked](Status::Asking) for.
    pub fn answer(&mut self, ticket: Ticket, name: &[u8], password: Vec<u8>) {
        let password = Secret(password);
        let Some(connection) = self.find(ticket) else { return };
        if matches!(connection.state, State::Asking | State::Wrong) {
            // What is no name is that of nobody; to it applies what applies to names.
            let name = name.get(..LONGEST_NAME).unwrap_or(name);
            let name = String::from_utf8_lossy(name).into_owned();
            connection.state = State::Waiting { name, password };
        }
    }

    /// The client was told that name or password were wrong.
    pub fn ask_again(&mut self, ticket: Ticket) {
        if let Some(connection) = self.find(ticket)
            && matches!(connection.state, State::Wrong)
        {
            connection.state = State::Asking;
        }
    }

    /// Somebody has typed something.
    pub fn touch(&mut self, ticket: Ticket, now: Instant) {
        if let Some(connection) = self.find(ticket) {
            connection.active = now;
        }
    }

    /// How far a connection is.
    pub fn poll(&mut self, ticket: Ticket, now: Instant) -> Status {
        let (login, idle) = (self.limits.login_timeout, self.limits.idle_timeout);
        let Some(connection) = self.find(ticket) else { return Status::Closed(Closed::Unknown) };
        let is_late = connection.origin != Origin::Serial && now.since(connection.since) >= login;
        let is_idle = idle.is_some_and(|idle| now.since(connection.active) >= idle);
        match &connection.state {
            State::Closed(why) => Status::Closed(*why),
            State::In { .. } if is_idle => self.close(ticket, Closed::Idle, now),
            State::In { .. } => Status::In,
            _ if is_late => self.close(ticket, Closed::LoginTimeout, now),
            State::Wrong => Status::Wrong,
            State::Asking => Status::Asking,
            State::Waiting { .. } | State::Hashing => Status::Busy,
        }
    }

    /// The user of a connection that is logged in.
    #[must_use]
    pub fn user(&self, ticket: Ticket) -> Option<&super::User> {
        let connection = self.connections.iter().find(|one| one.ticket == ticket)?;
        match &connection.state {
            State::In { user } => self.users.find(user),
            State::Asking
            | State::Waiting { .. }
            | State::Hashing
            | State::Wrong
            | State::Closed(_) => None,
        }
    }

    /// An administrator ends a connection.
    pub fn kill(&mut self, ticket: Ticket, now: Instant) {
        if self.find(ticket).is_some() {
            self.close(ticket, Closed::Killed, now);
        }
    }

    /// Somebody has logged out, and the connection is to be closed.
    pub fn log_out(&mut self, ticket: Ticket, now: Instant) {
        if self.find(ticket).is_some() {
            self.close(ticket, Closed::LoggedOut, now);
        }
    }

    /// The connection is no more.
    pub fn disconnect(&mut self, ticket: Ticket, now: Instant) {
        if let Some(connection) = self.find(ticket) {
            if !matches!(connection.state, State::Closed(_)) {
                self.end(ticket, "connection closed", now);
            }
            self.connections.retain(|one| one.ticket != ticket);
        }
        self.forget_work(ticket);
    }

    /// Lifts what was imposed on a user for wrong passwords, and on all addresses.
    pub fn forgive(&mut self, name: &str) {
        self.by_name.forgive(&String::from(name));
        self.by_address = Throttle::new(self.limits.throttle);
    }

    /// Whether somebody's password waits for its hash, or for its turn.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let waits = |one: &Connection| matches!(one.state, State::Waiting { .. });
        self.work.is_some() || self.connections.iter().any(waits)
    }

    /// Goes on with hashing by at most `budget` blocks, each of which takes one or two microseconds on a fast machine. Whether there
    /// is more to do now.
    pub fn work(&mut self, budget: usize, now: Instant) -> Working {
        // Each round takes one out of those that wait.
        while self.work.is_none() && self.begin(now) == Working::More {}
        let Some(work) = &mut self.work else { return Working::Idle };
        let Progress::Done(tag) = work.hasher.step(budget) else { return Working::More };
        if let Some(Work { ticket, name, expected, .. }) = self.work.take() {
            let is_right = expected.is_of(&tag);
            self.decide(ticket, &name, is_right, now);
        }
        Working::More
    }

    fn admit(&self, address: IpAddr, now: Instant) -> Result<(), Rejected> {
        let is_stranger = |one: &&Connection| {
            one.origin != Origin::Serial && !matches!(one.state, State::In { .. })
        };
        let strangers = || self.connections.iter().filter(is_stranger);
        let from_there = |one: &&Connection| one.place() == Network::of_one(address);
        if self.users.is_empty() {
            Err(Rejected::NoUsers)
        } else if !self.limits.networks.allow(address) {
            Err(Rejected::Network)
        } else if matches!(self.by_address.turn(&Network::of_one(address), now), Turn::Locked(_)) {
            Err(Rejected::LockedOut)
        } else if strangers().count() >= self.limits.strangers
            || strangers().filter(from_there).count() >= self.limits.strangers_of_address
        {
            Err(Rejected::Strangers)
        } else {
            Ok(())
        }
    }

    /// Begins to hash for the first whose turn it is, or turns away one who is locked out, if there is one.
    fn begin(&mut self, now: Instant) -> Working {
        let mut ready = None;
        for connection in &self.connections {
            let State::Waiting { name, .. } = &connection.state else { continue };
            let by_name = match connection.origin {
                Origin::Remote(_) => self.by_name.turn(name, now),
                // Whoever guesses from afar shall not keep anybody from the machine's own line.
                Origin::Serial => Turn::At(now),
            };
            let turns = [self.by_address.turn(&connection.place(), now), by_name];
            let is_locked = turns.iter().any(|turn| matches!(turn, Turn::Locked(_)));
            if is_locked || turns.iter().all(|turn| *turn == Turn::At(now)) {
                ready = Some((connection.ticket, is_locked));
                break;
            }
        }
        let Some((ticket, is_locked)) = ready else { return Working::Idle };
        let Some(connection) = self.find(ticket) else { return Working::Idle };
        let state = core::mem::replace(&mut connection.state, State::Hashing);
        let State::Waiting { name, password } = state else { return Working::Idle };
        if is_locked {
            // As if it had failed once too often; whether it would have is not found out.
            self.close(ticket, Closed::TooManyAttempts, now);
            return Working::More;
        }
        let expected = self.users.password(&name);
        match Hasher::new(&password.0, expected.salt(), expected.cost()) {
            Ok(hasher) => self.work = Some(Work { ticket, name, expected, hasher }),
            Err(_) => {
                self.close(ticket, Closed::NoMemory, now);
            }
        }
        Working::More
    }

    /// The hash is made: lets the user in, or not.
    fn decide(&mut self, ticket: Ticket, name: &str, is_right: bool, now: Instant) {
        let sessions = &self.connections;
        let is_session = |one: &&Connection| {
            one.origin != Origin::Serial && matches!(one.state, State::In { .. })
        };
        let sessions = sessions.iter().filter(is_session).count();
        let attempts = self.limits.attempts;
        let has_room = sessions < self.limits.sessions;
        // A hash that was made for nobody is not right, even if it were equal.
        let user = self.users.find(name).map(|user| String::from(user.name()));
        let Some(connection) = self.find(ticket) else { return };
        let (origin, place) = (connection.origin, connection.place());
        if let Some(user) = user.clone().filter(|_| is_right) {
            connection.active = now;
            self.by_address.forgive(&place);
            self.by_name.forgive(&user);
            if !has_room && origin != Origin::Serial {
                let why = Closed::TooManySessions;
                self.audit.add(Entry::new(now, Some(&user), origin, Act::Refused(why.reason())));
                self.close(ticket, why, now);
                return;
            }
            self.audit.add(Entry::new(now, Some(&user), origin, Act::LoggedIn));
            if let Some(connection) = self.find(ticket) {
                connection.state = State::In { user };
            }
            return;
        }
        connection.attempts += 1;
        connection.state = State::Wrong;
        let is_last = connection.attempts >= attempts;
        let failures =
            [self.by_address.fail(place, now), self.by_name.fail(String::from(name), now)];
        self.audit.add(Entry::new(now, user.as_deref(), origin, Act::LoginFailed));
        if failures.contains(&self.limits.throttle.lock_after) {
            self.audit.add(Entry::new(now, user.as_deref(), origin, Act::LockedOut));
        }
        if is_last {
            self.close(ticket, Closed::TooManyAttempts, now);
        }
    }

    fn close(&mut self, ticket: Ticket, why: Closed, now: Instant) -> Status {
        self.end(ticket, why.reason(), now);
        self.forget_work(ticket);
        if let Some(connection) = self.find(ticket) {
            connection.state = State::Closed(why);
        }
        Status::Closed(why)
    }

    /// Notes the end of a session.
    fn end(&mut self, ticket: Ticket, why: &'static str, now: Instant) {
        let Some(connection) = self.connections.iter().find(|one| one.ticket == ticket) else {
            return;
        };
        if let State::In { user } = &connection.state {
            self.audit.add(Entry::new(now, Some(user), connection.origin, Act::LoggedOut(why)));
        }
    }

    fn forget_work(&mut self, ticket: Ticket) {
        if self.work.as_ref().is_some_and(|work| work.ticket == ticket) {
            self.work = None;
        }
    }

    fn find(&mut self, ticket: Ticket) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.ticket == ticket)
    }
}

#[cfg(test)]
mod tests;
