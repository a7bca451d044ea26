//! The way of guests' packets to the outside and back, over the host's own address.

use super::frame::{self, Carries};
use super::neighbours::{Neighbours, Question};
use crate::login::Network;
use crate::nat::{Counters, Nat, NatConfig, Redirect, Verdict};
use crate::switch::MacAddr;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Frames that wait until it is known where they go.
const MOST_WAITING: usize = 32;
/// How often connections are looked at whether they have ended.
const EXPIRY: Duration = Duration::from_secs(30);

/// How the host is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outside {
    /// Its station.
    pub mac: MacAddr,
    /// Its address.
    pub address: Ipv4Addr,
    /// The leading bits that its network's addresses have in common.
    pub prefix: u8,
    /// The router to others.
    pub gateway: Option<Ipv4Addr>,
}

/// What has come from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Came {
    /// It is for the host's stack.
    Local,
    /// It is for this guest, and was changed for it.
    Guest(Ipv4Addr),
    /// It goes nowhere.
    Nowhere,
}

/// Translation, and the stations outside.
#[derive(Debug)]
pub struct Router {
    nat: Nat,
    outside: Option<Outside>,
    neighbours: Neighbours,
    /// Frames for next hops that were asked for, the oldest first.
    waiting: VecDeque<(Ipv4Addr, Vec<u8>)>,
    next_expiry: Instant,
}

impl Router {
    /// A router whose guests must not reach some networks.
    #[must_use]
    pub fn new(forbidden: Vec<Network>) -> Self {
        let nat = Nat::new(NatConfig { forbidden, redirects: Vec::new() });
        Self {
            nat,
            outside: None,
            neighbours: Neighbours::default(),
            waiting: VecDeque::new(),
            next_expiry: Instant(0),
        }
    }

    /// How the host is reached now, if it is.
    pub fn set_outside(&mut self, outside: Option<Outside>) {
        if self.outside != outside {
            self.outside = outside;
            self.neighbours.clear();
            self.waiting.clear();
            self.nat.set_outside(outside.map(|outside| outside.address));
        }
    }

    /// Where queries for names go.
    pub fn set_redirects(&mut self, redirects: Vec<Redirect>) {
        self.nat.set_redirects(redirects);
    }

    /// A guest has another address now.
    pub fn forget(&mut self, guest: Ipv4Addr) {
        self.nat.forget(guest);
    }

    /// Forgets connections that have ended, from time to time.
    pub fn tend(&mut self, now: Instant) {
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRY;
            self.nat.expire(now);
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.nat.connections()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.nat.counters()
    }

    /// A guest's frame goes outside; it is changed. `random` must be fresh and hard to guess. `send` gets what is to be sent.
    pub fn outward(
        &mut self,
        bytes: &mut [u8],
        random: u32,
        now: Instant,
        mut send: impl FnMut(&[u8]),
    ) {
        let Some(outside) = self.outside else { return };
        let Some(packet) = bytes.get_mut(frame::HEADER..) else { return };
        let Verdict::Send(to) = self.nat.outbound(packet, random, now) else { return };
        let hosts = u32::MAX.checked_shr(outside.prefix.into()).unwrap_or(0);
        let is_near = (to.to_bits() ^ outside.address.to_bits()) & !hosts == 0;
        let Some(hop) = (if is_near { Some(to) } else { outside.gateway }) else { return };
        let known = self.neighbours.find(hop, now);
        if known.question == Question::Due {
            send(&frame::arp_request((outside.address, outside.mac), hop));
        }
        match known.mac {
            Some(mac) => {
                frame::address(bytes, mac, outside.mac);
                send(bytes);
            }
            None => {
                if self.waiting.len() >= MOST_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((hop, bytes.to_vec()));
            }
        }
    }

    /// A frame has come from outside; it is changed if it is a guest's.
    pub fn inward(&mut self, bytes: &mut [u8], now: Instant, mut send: impl FnMut(&[u8])) -> Came {
        let (Some(outside), Some(head)) = (self.outside, frame::read(bytes)) else {
            return Came::Local;
        };
        match head.carries {
            Carries::Arp => {
                if let Some((address, mac)) = frame::arp_sender(bytes)
                    && self.neighbours.heard(address, mac, now)
                {
                    self.send_waiting((address, mac), outside.mac, &mut send);
                }
                Came::Local
            }
            Carries::Ipv4(packet)
                if packet.destination == outside.address && head.destination == outside.mac =>
            {
                let Some(packet) = bytes.get_mut(frame::HEADER..) else { return Came::Nowhere };
                match self.nat.inbound(packet, now) {
                    Verdict::Send(guest) => Came::Guest(guest),
                    Verdict::Refuse(_) => Came::Nowhere,
                    Verdict::NotOurs => Came::Local,
                }
            }
            Carries::Ipv4(_) | Carries::Other => Came::Local,
        }
    }

    fn send_waiting(
        &mut self,
        hop: (Ipv4Addr, MacAddr),
        own: MacAddr,
        send: &mut impl FnMut(&[u8]),
    ) {
        for (to, mut bytes) in core::mem::take(&mut self.waiting) {
            if to == hop.0 {
                frame::address(&mut bytes, hop.1, own);
                send(&bytes);
            } else {
                self.waiting.push_back((to, bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests;
