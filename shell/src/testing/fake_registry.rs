//! Users and sessions that are made up.

use crate::error::Error;
use crate::host::{
    AuditLine, AuditTrail, JobStatus, Note, PasswordChange, Registry, SessionSummary,
};
use crate::session::SessionId;

/// A made-up registry. What is asked of it is noted.
#[derive(Default)]
pub(crate) struct FakeRegistry {
    /// What was noted, in order.
    pub(crate) notes: Vec<String>,
    pub(crate) changes: Vec<PasswordChange>,
    pub(crate) cancelled: u32,
}

impl Registry for FakeRegistry {
    fn sessions(&self) -> Vec<SessionSummary> {
        let session = |id, user: &str, from: &str, doing: Option<&str>| SessionSummary {
            id: SessionId(id),
            user: user.into(),
            from: from.into(),
            link: if id == 0 { "serial" } else { "telnet" }.into(),
            since_ns: 0,
            idle_ns: 5_000_000_000,
            doing: doing.map(Into::into),
            lost_bytes: 12 * u64::from(id),
        };
        vec![
            session(0, "local", "serial", None),
            session(3, "anna", "10.0.2.2", Some("vm console \u{1b}[2J")),
        ]
    }

    fn title(&self, session: SessionId) -> String {
        format!("user {session}")
    }

    fn session_kill(&mut self, target: SessionId) -> Result<(), Error> {
        self.notes.push(format!("kill {target}"));
        Ok(())
    }

    fn note(&mut self, session: SessionId, note: Note<'_>) {
        self.notes.push(format!("{session} {note:?}"));
    }

    fn audit(&self, most: usize) -> AuditTrail {
        let line = |user: Option<&str>, times| AuditLine {
            time_ns: 1_500_000_000,
            user: user.map(Into::into),
            from: "10.0.2.2".into(),
            what: "login failed".into(),
            times,
        };
        let lines = vec![line(None, 1), line(Some("anna"), 7)];
        AuditTrail { lines: lines.into_iter().take(most).collect(), forgotten: 9 }
    }

    fn users(&self) -> Vec<String> {
        vec!["admin".into(), "anna".into()]
    }

    fn password_change(&mut self, _: SessionId, change: PasswordChange) -> Result<(), Error> {
        self.changes.push(change);
        Ok(())
    }

    fn password_status(&mut self, _: SessionId) -> JobStatus {
        JobStatus::Done(Ok("changed".into()))
    }

    fn password_cancel(&mut self, _: SessionId) {
        self.cancelled += 1;
    }
}
