//! Who is here, what was done by whom, and passwords.

use super::job::JobStatus;
use crate::error::Error;
use crate::session::SessionId;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// One session.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SessionSummary {
    /// Its number.
    pub id: SessionId,
    /// Its user's name.
    pub user: String,
    /// Where the user is: `serial`, or an address.
    pub from: String,
    /// How the session is reached: `serial`, `telnet`.
    pub link: String,
    /// When it began, since power-on.
    pub since_ns: u64,
    /// The time since something was typed.
    pub idle_ns: u64,
    /// The command that runs.
    pub doing: Option<String>,
    /// Bytes of output that were dropped because they were not read.
    pub lost_bytes: u64,
}

/// One line of the audit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AuditLine {
    /// When, since power-on; the last time, if it was more than once.
    pub time_ns: u64,
    /// By which user, if it was one.
    pub user: Option<String>,
    /// From where.
    pub from: String,
    /// What was done.
    pub what: String,
    /// How often in a row.
    pub times: u32,
}

/// What the audit has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuditTrail {
    /// The newest entries, the oldest of them first.
    pub lines: Vec<AuditLine>,
    /// How many there were before those that are kept.
    pub forgotten: u64,
}

/// What a session did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note<'a> {
    /// A command that changes something was given.
    Command(&'a str),
    /// A command was refused, for the user may not.
    Refused(&'a str),
}

/// What changes a password.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordChange {
    /// Whose.
    pub user: String,
    /// The one until now, from a user who changes his own.
    pub old: Option<Vec<u8>>,
    /// The one from now on.
    pub new: Vec<u8>,
}

/// Without the passwords.
impl fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChange").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The part of the host that knows its users.
///
/// # Errors
///
/// As of [`Host`](super::Host): a sentence that is printed as it is.
pub trait Registry {
    /// All sessions, in the order of their numbers.
    fn sessions(&self) -> Vec<SessionSummary>;
    /// How messages to others name a session, such as `anna from 10.0.2.2`.
    fn title(&self, session: SessionId) -> String;
    /// Ends a session, soon. What it holds is let go.
    fn session_kill(&mut self, target: SessionId) -> Result<(), Error>;
    /// Remembers what a session did.
    fn note(&mut self, session: SessionId, note: Note<'_>);
    /// The newest entries of the audit, at most so many.
    fn audit(&self, most: usize) -> AuditTrail;
    /// The names of all users, also of those without a password.
    fn users(&self) -> Vec<String>;
    /// Begins to change a password for as long as the machine is on. A session changes one at a time.
    fn password_change(&mut self, session: SessionId, change: PasswordChange) -> Result<(), Error>;
    /// How far that is. What it says when it is done is printed.
    fn password_status(&mut self, session: SessionId) -> JobStatus;
    /// Gives it up.
    fn password_cancel(&mut self, session: SessionId);
}
