//! The sessions that there are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use hv_core::time::Instant;
use net::login::{Origin, Ticket};
use shell::error::Error;
use shell::host::SessionSummary;
use shell::session::SessionId;

/// Who begins a session.
pub(crate) struct Arrival {
    pub(crate) user: String,
    pub(crate) origin: Origin,
    /// What it is reached by.
    pub(crate) link: &'static str,
    /// Of whoever has logged in.
    pub(crate) ticket: Option<Ticket>,
}

struct Member {
    arrival: Arrival,
    since: Instant,
    /// When something was typed last.
    typed: Instant,
    doing: Option<String>,
    lost: u64,
}

/// All sessions, by their numbers.
#[derive(Default)]
pub(super) struct Roster {
    members: BTreeMap<SessionId, Member>,
    /// Output that was lost, also of those who are gone.
    lost: u64,
}

impl Roster {
    pub(super) fn add(&mut self, id: SessionId, arrival: Arrival, now: Instant) {
        self.members.insert(id, Member { arrival, since: now, typed: now, doing: None, lost: 0 });
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Ticket> {
        self.members.remove(&id)?.arrival.ticket
    }

    pub(super) fn typed(&mut self, id: SessionId, now: Instant) -> Option<Ticket> {
        let member = self.members.get_mut(&id)?;
        member.typed = now;
        member.arrival.ticket
    }

    pub(super) fn does(&mut self, id: SessionId, doing: Option<&str>) {
        // Said at each poll, and mostly nothing new.
        if let Some(member) = self.members.get_mut(&id)
            && member.doing.as_deref() != doing
        {
            member.doing = doing.map(Into::into);
        }
    }

    pub(super) fn lost(&mut self, id: SessionId, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
        if let Some(member) = self.members.get_mut(&id) {
            member.lost = member.lost.saturating_add(bytes);
        }
    }

    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost
    }

    pub(super) fn who(&self, id: SessionId) -> Option<(&str, Origin)> {
        let Arrival { user, origin, .. } = &self.members.get(&id)?.arrival;
        Some((user, *origin))
    }

    pub(super) fn title(&self, id: SessionId) -> String {
        match self.who(id) {
            Some((user, origin)) => format!("{user} from {origin}"),
            None => "somebody who is gone".into(),
        }
    }

    /// The ticket of a session that is to be ended.
    pub(super) fn ticket(&self, id: SessionId) -> Result<Ticket, Error> {
        let Some(member) = self.members.get(&id) else {
            return Err(Error::new(format!("no session {id}: 'session list' shows them")));
        };
        member.arrival.ticket.ok_or_else(|| {
            Error::new(format!(
                "session {id} has no login, and cannot be ended: it is the machine's own"
            ))
        })
    }

    pub(super) fn summaries(&self, now: Instant) -> Vec<SessionSummary> {
        let summary = |(id, member): (&SessionId, &Member)| SessionSummary {
            id: *id,
            user: member.arrival.user.clone(),
            from: member.arrival.origin.to_string(),
            link: member.arrival.link.into(),
            since_ns: member.since.0,
            idle_ns: now.since(member.typed).as_nanos() as u64,
            doing: member.doing.clone(),
            lost_bytes: member.lost,
        };
        self.members.iter().map(summary).collect()
    }
}
