//! Who is here, who may come in, and what was done by whom.
//!
//! The [`Gate`] decides who may log in and has the audit. Users whom the configuration gives no password are kept beside it
//! until `passwd` gives them one: until somebody has one, nobody is listened to at all.

mod password;
mod roster;
mod settings;

pub(crate) use roster::Arrival;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use net::login::{Act, Directory, Entry, Gate, Limits, Origin, Role, Status, Ticket, Working};
use password::Change;
use roster::Roster;
use shell::access;
use shell::error::Error;
use shell::host::{
    AuditLine, AuditTrail, JobStatus, Note, PasswordChange, Registry, SessionSummary,
};
use shell::session::SessionId;

/// How long passwords are hashed in one poll.
const SLICE: Duration = Duration::from_micros(500);
/// Blocks of a hash between two looks at the clock.
const BLOCKS: usize = 8;
/// How often it is looked whether a login that has to wait may go on.
const LOOK: Duration = Duration::from_millis(50);

/// Somebody whom the configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) role: Option<Role>,
    /// Roles on VMs, by their names.
    pub(crate) grants: Vec<(String, Role)>,
}

/// Everybody.
pub(crate) struct People {
    gate: Gate,
    persons: Vec<Person>,
    roster: Roster,
    change: Option<Box<Change>>,
    /// How many entries of the audit are in the log.
    logged: u64,
}

impl People {
    /// Nobody is here. `users` are those of the persons who have a password.
    pub(crate) fn new(persons: Vec<Person>, users: Directory, limits: Limits) -> Self {
        Self {
            gate: Gate::new(users, limits, time(host::now())),
            persons,
            roster: Roster::default(),
            change: None,
            logged: 0,
        }
    }

    /// Whether somebody can log in from afar.
    pub(crate) fn are_welcome(&self) -> bool {
        !self.gate.users().is_empty()
    }

    /// The gate, for those who connect.
    pub(crate) fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// The user of this name as the shell knows users.
    pub(crate) fn user(&self, name: &str, origin: Origin) -> Option<access::User> {
        let person = self.persons.iter().find(|person| person.name == name)?;
        let grant =
            |(vm, role): &(String, Role)| access::Grant { vm: vm.clone(), role: shown(*role) };
        Some(access::User {
            name: person.name.clone(),
            from: origin.to_string(),
            role: person.role.map(shown),
            grants: person.grants.iter().map(grant).collect(),
        })
    }

    /// A slice of work on passwords; when the next is wanted.
    pub(crate) fn poll(&mut self) -> Instant {
        let start = host::now();
        let mut next = Instant::NEVER;
        if self.gate.is_busy() || self.change.as_ref().is_some_and(|change| change.is_running()) {
            next = self.hash(start);
        }
        self.log();
        next
    }

    fn hash(&mut self, start: Instant) -> Instant {
        loop {
            let now = host::now();
            let login = self.gate.work(BLOCKS, time(now));
            let change = match &mut self.change {
                Some(change) => change.step(BLOCKS, &mut self.gate, &self.persons),
                None => Working::Idle,
            };
            if (login, change) == (Working::Idle, Working::Idle) {
                return if self.gate.is_busy() { now + LOOK } else { Instant::NEVER };
            }
            if now.since(start) >= SLICE {
                return now;
            }
        }
    }

    /// What was audited goes into the log as well, but for what is done at the serial port without a login.
    fn log(&mut self) {
        let audit = self.gate.audit();
        let total = audit.total();
        let fresh = usize::try_from(total.saturating_sub(self.logged)).unwrap_or(usize::MAX);
        self.logged = total;
        if fresh == 0 {
            return;
        }
        let first = audit.iter().count().saturating_sub(fresh);
        for Entry { who, from, act, .. } in audit.iter().skip(first) {
            if *from != Origin::Serial || !matches!(act, Act::Command(_)) {
                log::info!(target: "audit", "{} from {from}: {act}", who.as_deref().unwrap_or("-"));
            }
        }
    }

    /// A session begins.
    pub(crate) fn arrive(&mut self, id: SessionId, arrival: Arrival) {
        self.roster.add(id, arrival, host::now());
    }

    /// A session is over.
    pub(crate) fn leave(&mut self, id: SessionId) {
        self.password_cancel(id);
        if let Some(ticket) = self.roster.remove(id) {
            self.gate.disconnect(ticket, time(host::now()));
        }
    }

    /// The user of a session has said that it is over.
    pub(crate) fn log_out(&mut self, id: SessionId, now: Instant) {
        if let Ok(ticket) = self.roster.ticket(id) {
            self.gate.log_out(ticket, time(now));
        }
    }

    /// Somebody has typed something.
    pub(crate) fn typed(&mut self, id: SessionId, now: Instant) {
        if let Some(ticket) = self.roster.typed(id, now) {
            self.gate.touch(ticket, time(now));
        }
    }

    /// What a session runs.
    pub(crate) fn does(&mut self, id: SessionId, doing: Option<&str>) {
        self.roster.does(id, doing);
    }

    /// Output of a session was lost.
    pub(crate) fn lost(&mut self, id: SessionId, bytes: u64) {
        self.roster.lost(id, bytes);
    }

    /// Output that was lost, of all sessions that there were.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.roster.lost_bytes()
    }

    /// How far the one who has this ticket is.
    pub(crate) fn status(&mut self, ticket: Ticket, now: Instant) -> Status {
        self.gate.poll(ticket, time(now))
    }
}

impl Registry for People {
    fn sessions(&self) -> Vec<SessionSummary> {
        self.roster.summaries(host::now())
    }

    fn title(&self, session: SessionId) -> String {
        self.roster.title(session)
    }

    fn session_kill(&mut self, target: SessionId) -> Result<(), Error> {
        let ticket = self.roster.ticket(target)?;
        self.gate.kill(ticket, time(host::now()));
        Ok(())
    }

    fn note(&mut self, session: SessionId, note: Note<'_>) {
        let act = match note {
            Note::Command(text) => Act::command(text),
            Note::Refused(text) => Act::forbidden(text),
        };
        if let Some((user, origin)) = self.roster.who(session) {
            self.gate.audit_mut().add(Entry::new(time(host::now()), Some(user), origin, act));
        }
    }

    fn audit(&self, most: usize) -> AuditTrail {
        let audit = self.gate.audit();
        let mut lines: Vec<AuditLine> = audit.iter().rev().take(most).map(line).collect();
        lines.reverse();
        AuditTrail { lines, forgotten: audit.forgotten() }
    }

    fn users(&self) -> Vec<String> {
        self.persons.iter().map(|person| person.name.clone()).collect()
    }

    fn password_change(&mut self, session: SessionId, change: PasswordChange) -> Result<(), Error> {
        if self.change.as_ref().is_some_and(|other| !other.is_of(session)) {
            return Err(Error::new("another password is being changed: try again in a moment"));
        }
        self.change = Some(Box::new(Change::begin(session, change, self.gate.users())?));
        Ok(())
    }

    fn password_status(&mut self, session: SessionId) -> JobStatus {
        match self.change.take_if(|change| change.is_of(session)) {
            Some(change) if change.is_running() => {
                self.change = Some(change);
                JobStatus::Running { done_bytes: 0, total_bytes: 0, what: "hashing".into() }
            }
            Some(change) => JobStatus::Done(change.result()),
            None => JobStatus::Done(Err(Error::new("the change was given up"))),
        }
    }

    fn password_cancel(&mut self, session: SessionId) {
        self.change.take_if(|change| change.is_of(session));
    }
}

fn line(entry: &Entry) -> AuditLine {
    AuditLine {
        time_ns: entry.at.0,
        user: entry.who.clone(),
        from: entry.from.to_string(),
        what: entry.act.to_string(),
        times: entry.times,
    }
}

fn shown(role: Role) -> access::Role {
    match role {
        Role::Viewer => access::Role::Viewer,
        Role::Operator => access::Role::Operator,
        Role::Admin => access::Role::Admin,
    }
}

/// The same moment for the crate `net`, which knows no other.
pub(crate) fn time(now: Instant) -> net::time::Instant {
    net::time::Instant(now.0)
}
