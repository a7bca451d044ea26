//! Connections that are translated.

use super::packet::{Protocol, Step};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::Ipv4Addr;
use core::time::Duration;

/// All connections.
pub(super) const MOST: usize = 8192;
/// Those of one guest.
pub(super) const MOST_OF_ONE: usize = 1024;
/// A full table is searched for what has ended at most this often.
const SWEEP: Duration = Duration::from_secs(1);
/// Ports that are drawn before a connection is refused.
const DRAWS: u16 = 32;
/// Ports outside: not those that the host itself listens on.
const FIRST_PORT: u16 = 0x8000;

/// An address and a port.
pub(super) type End = (Ipv4Addr, u16);

/// A connection as it is seen from inside.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Inside {
    pub(super) protocol: Protocol,
    pub(super) guest: End,
    /// Whom the guest means; a redirection is not seen.
    pub(super) meant: End,
}

/// A connection as it is seen from outside.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Outside {
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) remote: End,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    /// Only one side has said something.
    Opening,
    Open,
    Ending,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    inside: Inside,
    life: Life,
    until: Instant,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Full {
    /// For anybody.
    Table,
    /// For this guest.
    Guest,
}

/// The connections.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_outside: BTreeMap<Outside, Entry>,
    by_inside: BTreeMap<Inside, Outside>,
    of_guest: BTreeMap<Ipv4Addr, usize>,
    next_sweep: Instant,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_outside.len()
    }

    /// The connection that a guest's packet belongs to.
    pub(super) fn outbound(
        &mut self,
        inside: &Inside,
        step: Step,
        now: Instant,
    ) -> Option<Outside> {
        let outside = *self.by_inside.get(inside)?;
        self.go_on(&outside, step, Life::Opening, now)?;
        Some(outside)
    }

    /// The connection that a packet from outside belongs to.
    pub(super) fn inbound(
        &mut self,
        outside: &Outside,
        step: Step,
        now: Instant,
    ) -> Option<Inside> {
        self.go_on(outside, step, Life::Open, now)
    }

    /// The connection that a message is about; it does not keep that alive.
    pub(super) fn find(&self, outside: &Outside, now: Instant) -> Option<Inside> {
        let entry = self.by_outside.get(outside).filter(|entry| entry.until > now)?;
        Some(entry.inside)
    }

    /// A new connection to `remote`. `random` chooses its port.
    pub(super) fn open(
        &mut self,
        inside: Inside,
        remote: End,
        random: u32,
        now: Instant,
    ) -> Result<Outside, Full> {
        if (self.len() >= MOST || self.count(inside.guest.0) >= MOST_OF_ONE)
            && now >= self.next_sweep
        {
            self.next_sweep = now + SWEEP;
            self.expire(now);
        }
        if self.len() >= MOST {
            return Err(Full::Table);
        }
        if self.count(inside.guest.0) >= MOST_OF_ONE {
            return Err(Full::Guest);
        }
        let outside = |draw: u16| {
            let port = (random as u16).wrapping_add(draw.wrapping_mul((random >> 16) as u16 | 1));
            Outside { protocol: inside.protocol, port: port | FIRST_PORT, remote }
        };
        let is_free = |outside: &Outside| !self.by_outside.contains_key(outside);
        let outside = (0..DRAWS).map(outside).find(is_free).ok_or(Full::Table)?;
        let life = Life::Opening;
        let until = now + lifetime(inside.protocol, life);
        self.by_outside.insert(outside, Entry { inside, life, until });
        self.by_inside.insert(inside, outside);
        *self.of_guest.entry(inside.guest.0).or_insert(0) += 1;
        Ok(outside)
    }

    /// Forgets what has ended.
    pub(super) fn expire(&mut self, now: Instant) {
        self.retain(|entry| entry.until > now);
    }

    /// Forgets what a guest has. A guest decides how often, so nobody else's connections are looked at.
    pub(super) fn forget(&mut self, guest: Ipv4Addr) {
        const FIRST: (Ipv4Addr, u16) = (Ipv4Addr::UNSPECIFIED, 0);
        const LAST: (Ipv4Addr, u16) = (Ipv4Addr::BROADCAST, u16::MAX);
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Echo] {
            let first = Inside { protocol, guest: (guest, 0), meant: FIRST };
            let last = Inside { protocol, guest: (guest, u16::MAX), meant: LAST };
            let its = self.by_inside.range(first..=last).map(|(_, outside)| *outside);
            for outside in its.collect::<alloc::vec::Vec<_>>() {
                self.remove(&outside);
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.retain(|_| false);
    }

    fn go_on(&mut self, outside: &Outside, step: Step, life: Life, now: Instant) -> Option<Inside> {
        let entry = self.by_outside.get_mut(outside)?;
        if entry.until <= now {
            self.remove(outside);
            return None;
        }
        entry.life = match (entry.life, step) {
            (Life::Ending, Step::End | Step::On) | (_, Step::End) => Life::Ending,
            // A port that is used again (RFC 6191).
            (Life::Ending, Step::Open) => life,
            (Life::Open, Step::On | Step::Open) => Life::Open,
            (Life::Opening, Step::On | Step::Open) => life,
        };
        entry.until = now + lifetime(outside.protocol, entry.life);
        Some(entry.inside)
    }

    fn count(&self, guest: Ipv4Addr) -> usize {
        self.of_guest.get(&guest).copied().unwrap_or(0)
    }

    fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let over = self.by_outside.iter().filter(|(_, entry)| !keep(entry));
        let over: alloc::vec::Vec<_> = over.map(|(outside, _)| *outside).collect();
        for outside in over {
            self.remove(&outside);
        }
    }

    fn remove(&mut self, outside: &Outside) {
        let Some(entry) = self.by_outside.remove(outside) else { return };
        self.by_inside.remove(&entry.inside);
        let guest = entry.inside.guest.0;
        let rest = self.count(guest).saturating_sub(1);
        if rest == 0 {
            self.of_guest.remove(&guest);
        } else {
            self.of_guest.insert(guest, rest);
        }
    }
}

/// How long a connection is kept without packets.
fn lifetime(protocol: Protocol, life: Life) -> Duration {
    let seconds = match (protocol, life) {
        // RFC 5382, REQ-5.
        (Protocol::Tcp, Life::Open) => 2 * 3600 + 240,
        (Protocol::Tcp, Life::Opening | Life::Ending) => 240,
        // RFC 4787, REQ-5; a query that is not answered needs less.
        (Protocol::Udp, Life::Open) => 300,
        (Protocol::Udp, Life::Opening | Life::Ending) => 120,
        // RFC 5508, REQ-2.
        (Protocol::Echo, _) => 60,
    };
    Duration::from_secs(seconds)
}
