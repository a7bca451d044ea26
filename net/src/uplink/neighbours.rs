//! Which station has which address of the network outside (RFC 826).

use crate::switch::MacAddr;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Addresses that are kept.
const MOST: usize = 256;
/// How long a station is believed to be where it was.
const FRESH: Duration = Duration::from_secs(60);
/// How long it is still used while it is asked for.
const STALE: Duration = Duration::from_secs(180);
/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
struct Entry {
    heard: Option<(MacAddr, Instant)>,
    asked: Option<Instant>,
    used: Instant,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Known {
    pub(super) mac: Option<MacAddr>,
    pub(super) question: Question,
}

/// Whether to ask where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Question {
    /// Now.
    Due,
    /// It is known, or was asked just before.
    None,
}

/// Stations that were asked for. Nothing is learnt of others.
#[derive(Debug, Default)]
pub(super) struct Neighbours(BTreeMap<Ipv4Addr, Entry>);

impl Neighbours {
    /// Somebody wants to send to the address.
    pub(super) fn find(&mut self, address: Ipv4Addr, now: Instant) -> Known {
        if !self.0.contains_key(&address) && self.0.len() >= MOST {
            let oldest = self.0.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                self.0.remove(&oldest);
            }
        }
        let new = Entry { heard: None, asked: None, used: now };
        let entry = self.0.entry(address).or_insert(new);
        entry.used = now;
        let age = |heard: &(MacAddr, Instant)| now.since(heard.1);
        let usable = entry.heard.filter(|heard| age(heard) < STALE);
        let is_fresh = usable.as_ref().is_some_and(|heard| age(heard) < FRESH);
        let was_asked = entry.asked.is_some_and(|asked| now.since(asked) < INTERVAL);
        let question = if is_fresh || was_asked { Question::None } else { Question::Due };
        if question == Question::Due {
            entry.asked = Some(now);
        }
        Known { mac: usable.map(|(mac, _)| mac), question }
    }

    /// A station has said where it is. Whether somebody wanted to know.
    pub(super) fn heard(&mut self, address: Ipv4Addr, mac: MacAddr, now: Instant) -> bool {
        match self.0.get_mut(&address) {
            Some(entry) if mac.is_unicast() => {
                entry.heard = Some((mac, now));
                true
            }
            Some(_) | None => false,
        }
    }

    /// The cable may lead elsewhere now.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    #[test]
    fn a_station_is_asked_for_once_a_second_and_believed_for_a_while() {
        let mut neighbours = Neighbours::default();
        let now = Instant(5_000_000_000);
        assert!(!neighbours.heard(A, MAC, now), "nobody asked");
        assert_eq!(neighbours.find(A, now), Known { mac: None, question: Question::Due });
        assert_eq!(neighbours.find(A, now), Known { mac: None, question: Question::None });
        assert_eq!(neighbours.find(A, now + INTERVAL).question, Question::Due);
        assert!(neighbours.heard(A, MAC, now));
        assert_eq!(
            neighbours.find(A, now + FRESH / 2),
            Known { mac: Some(MAC), question: Question::None }
        );
        assert_eq!(
            neighbours.find(A, now + FRESH),
            Known { mac: Some(MAC), question: Question::Due }
        );
        assert_eq!(neighbours.find(A, now + STALE).mac, None);
    }

    #[test]
    fn who_scans_a_network_fills_a_bounded_table() {
        let mut neighbours = Neighbours::default();
        for number in 0..10_000u32 {
            neighbours.find(Ipv4Addr::from_bits(number), Instant(u64::from(number)));
        }
        assert_eq!(neighbours.0.len(), MOST);
    }
}
