//! Where stations are that are behind open ports: bounded, and forgotten when they are silent.

use super::address::MacAddr;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use core::time::Duration;

/// Stations that are remembered. One more is not, and frames for it go to every open port.
const STATIONS: usize = 1024;
/// After this silence a station is forgotten (IEEE 802.1D, table 7-5).
const AGE: Duration = Duration::from_secs(300);
/// A full table is searched for the silent at most this often.
const SWEEP: Duration = Duration::from_secs(1);

/// A station's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Learnt {
    /// Its address.
    pub mac: MacAddr,
    /// The place of its port.
    pub port: usize,
    /// When it last sent something.
    pub seen: Instant,
}

/// The stations.
#[derive(Debug, Default)]
pub(super) struct Table {
    stations: BTreeMap<MacAddr, (usize, Instant)>,
    next_sweep: Instant,
    /// Stations that there was no room for.
    unlearnt: u64,
}

impl Table {
    /// `mac` has sent something from `port`.
    pub(super) fn learn(&mut self, mac: MacAddr, port: usize, now: Instant) {
        if let Some(place) = self.stations.get_mut(&mac) {
            *place = (port, now);
            return;
        }
        if self.stations.len() >= STATIONS && now >= self.next_sweep {
            self.next_sweep = now + SWEEP;
            self.stations.retain(|_, (_, seen)| now.since(*seen) < AGE);
        }
        if self.stations.len() < STATIONS {
            self.stations.insert(mac, (port, now));
        } else {
            self.unlearnt = self.unlearnt.saturating_add(1);
        }
    }

    /// Where `mac` is.
    pub(super) fn find(&self, mac: MacAddr, now: Instant) -> Option<usize> {
        let (port, seen) = self.stations.get(&mac)?;
        (now.since(*seen) < AGE).then_some(*port)
    }

    /// Forgets those behind `port`.
    pub(super) fn forget(&mut self, port: usize) {
        self.stations.retain(|_, (at, _)| *at != port);
    }

    /// Forgets one station.
    pub(super) fn remove(&mut self, mac: MacAddr) {
        self.stations.remove(&mac);
    }

    /// Those that are remembered.
    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = Learnt> {
        let learnt = |(mac, (port, seen)): (&MacAddr, &(usize, Instant))| Learnt {
            mac: *mac,
            port: *port,
            seen: *seen,
        };
        self.stations.iter().map(learnt).filter(move |learnt| now.since(learnt.seen) < AGE)
    }

    /// How often there was no room.
    pub(super) fn unlearnt(&self) -> u64 {
        self.unlearnt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(number: u32) -> MacAddr {
        let [a, b, c, d] = number.to_be_bytes();
        MacAddr([2, 0, a, b, c, d])
    }

    #[test]
    fn a_flood_of_stations_is_bounded_and_ages_away() {
        let mut table = Table::default();
        for number in 0..100_000 {
            table.learn(mac(number), 3, Instant(1));
        }
        assert_eq!(table.stations.len(), STATIONS);
        assert_eq!(table.unlearnt(), 100_000 - STATIONS as u64);
        let later = Instant(1) + AGE;
        assert_eq!(table.find(mac(5), later), None);
        table.learn(mac(200_000), 4, later);
        assert_eq!(table.find(mac(200_000), later), Some(4));
        assert_eq!(table.stations.len(), 1);
    }

    #[test]
    fn a_station_that_moves_is_found_where_it_is() {
        let mut table = Table::default();
        table.learn(mac(1), 3, Instant(1));
        table.learn(mac(1), 4, Instant(2));
        assert_eq!(table.find(mac(1), Instant(2)), Some(4));
        table.forget(4);
        assert_eq!(table.find(mac(1), Instant(2)), None);
    }
}
