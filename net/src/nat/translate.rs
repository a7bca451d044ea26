//! Translation, in both directions.

use super::packet::{self, Facts, Kind, Protocol, Side, Step};
use super::table::{Full, Inside, Outside, Table};
use crate::bytes::array;
use crate::login::Network;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// What is translated.
#[derive(Clone, Debug, Default)]
pub struct NatConfig {
    /// Networks outside that guests must not reach.
    pub forbidden: Vec<Network>,
    /// What goes elsewhere than it says.
    pub redirects: Vec<Redirect>,
}

/// Packets of TCP and UDP to `from` go to `to`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Redirect {
    /// As guests see it: the gateway, and port 53.
    pub from: (Ipv4Addr, u16),
    /// Where it is: a name server.
    pub to: (Ipv4Addr, u16),
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Verdict {
    /// It is changed, and goes to this address.
    Send(Ipv4Addr),
    /// It goes nowhere.
    Refuse(Refusal),
    /// It is none of a guest's: from outside only.
    NotOurs,
}

/// Why a packet goes nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is cut off, or contradicts itself.
    Malformed,
    /// It is a piece of a packet.
    Fragment,
    /// It is of no protocol that can be translated.
    Protocol,
    /// It has gone too far (RFC 791).
    TimeToLive,
    /// Guests must not go there.
    Forbidden,
    /// It belongs to a connection that is not known.
    Unknown,
    /// There are too many connections.
    Full,
    /// The guest has too many connections.
    FullOfGuest,
    /// There is no address outside now.
    NoAddress,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Fragment,
        Self::Protocol,
        Self::TimeToLive,
        Self::Forbidden,
        Self::Unknown,
        Self::Full,
        Self::FullOfGuest,
        Self::NoAddress,
    ];
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets that went out.
    pub outbound: u64,
    /// Packets that came in.
    pub inbound: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl Counters {
    /// Packets that went nowhere for this reason.
    #[must_use]
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or(0)
    }
}

/// Translation between a network of guests and the outside. Sums of packets must be whole: offloads end here.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    outside: Option<Ipv4Addr>,
    table: Table,
    counters: Counters,
}

impl Nat {
    /// Translation that has no address yet.
    #[must_use]
    pub fn new(config: NatConfig) -> Self {
        Self { config, outside: None, table: Table::default(), counters: Counters::default() }
    }

    /// The host's address outside. All connections over another one have ended.
    pub fn set_outside(&mut self, address: Option<Ipv4Addr>) {
        if self.outside != address {
            self.outside = address;
            self.table.clear();
        }
    }

    /// Where packets are redirected to.
    pub fn set_redirects(&mut self, redirects: Vec<Redirect>) {
        self.config.redirects = redirects;
    }

    /// Translates a guest's packet (IPv4, from its header) to the outside. `random` must be fresh and hard to guess.
    pub fn outbound(&mut self, packet: &mut [u8], random: u32, now: Instant) -> Verdict {
        let result = self.translate_outbound(packet, random, now);
        if result.is_ok() {
            self.counters.outbound += 1;
        }
        self.verdict(result.map(Some))
    }

    /// Translates a packet that came to the host's address from outside, if it is a guest's.
    pub fn inbound(&mut self, packet: &mut [u8], now: Instant) -> Verdict {
        let result = self.translate_inbound(packet, now);
        if matches!(result, Ok(Some(_))) {
            self.counters.inbound += 1;
        }
        self.verdict(result)
    }

    /// Forgets the connections of a guest that is gone.
    pub fn forget(&mut self, guest: Ipv4Addr) {
        self.table.forget(guest);
    }

    /// Forgets connections that have ended. It is also done when there is no room.
    pub fn expire(&mut self, now: Instant) {
        self.table.expire(now);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn verdict(&mut self, result: Result<Option<Ipv4Addr>, Refusal>) -> Verdict {
        match result {
            Ok(Some(to)) => Verdict::Send(to),
            Ok(None) => Verdict::NotOurs,
            Err(why) => {
                if let Some(count) = self.counters.refused.get_mut(why as usize) {
                    *count += 1;
                }
                Verdict::Refuse(why)
            }
        }
    }

    fn translate_outbound(
        &mut self,
        packet: &mut [u8],
        random: u32,
        now: Instant,
    ) -> Result<Ipv4Addr, Refusal> {
        let outside = self.outside.ok_or(Refusal::NoAddress)?;
        let facts = packet::read(packet).ok_or(Refusal::Malformed)?;
        let (protocol, source_port, destination_port, step) = match facts.kind {
            Kind::Flow { protocol, source_port, destination_port, step } => {
                (protocol, source_port, destination_port, step)
            }
            Kind::Fragment => return Err(Refusal::Fragment),
            Kind::Trouble | Kind::Other => return Err(Refusal::Protocol),
        };
        if facts.ttl <= 1 {
            return Err(Refusal::TimeToLive);
        }
        let meant = (facts.destination, destination_port);
        let remote = self.redirect(protocol, meant);
        if remote == meant && !self.may_reach(facts.destination, outside) {
            return Err(Refusal::Forbidden);
        }
        let inside = Inside { protocol, guest: (facts.source, source_port), meant };
        let known = self.table.outbound(&inside, step, now);
        let Outside { port, remote, .. } = match known {
            Some(known) => known,
            // Only what begins something is its beginning.
            None if step != Step::Open => return Err(Refusal::Unknown),
            None => self.table.open(inside, remote, random, now).map_err(|full| match full {
                Full::Table => Refusal::Full,
                Full::Guest => Refusal::FullOfGuest,
            })?,
        };
        let mut change = || {
            packet::age(packet)?;
            if remote != meant {
                packet::rewrite(packet, facts.header, protocol, Side::Destination, remote)?;
            }
            packet::rewrite(packet, facts.header, protocol, Side::Source, (outside, port))
        };
        change().ok_or(Refusal::Malformed)?;
        Ok(remote.0)
    }

    fn translate_inbound(
        &mut self,
        packet: &mut [u8],
        now: Instant,
    ) -> Result<Option<Ipv4Addr>, Refusal> {
        let Some(outside) = self.outside else { return Ok(None) };
        let Some(facts) = packet::read(packet) else { return Ok(None) };
        if facts.destination != outside {
            return Ok(None);
        }
        let (protocol, source_port, destination_port, step) = match facts.kind {
            Kind::Flow { protocol, source_port, destination_port, step } => {
                (protocol, source_port, destination_port, step)
            }
            Kind::Trouble => return self.translate_trouble(packet, facts, now),
            Kind::Fragment | Kind::Other => return Ok(None),
        };
        let remote = (facts.source, source_port);
        let key = Outside { protocol, port: destination_port, remote };
        let Some(inside) = self.table.inbound(&key, step, now) else { return Ok(None) };
        if facts.ttl <= 1 {
            return Err(Refusal::TimeToLive);
        }
        let mut change = || {
            packet::age(packet)?;
            if inside.meant != remote {
                packet::rewrite(packet, facts.header, protocol, Side::Source, inside.meant)?;
            }
            packet::rewrite(packet, facts.header, protocol, Side::Destination, inside.guest)
        };
        change().ok_or(Refusal::Malformed)?;
        Ok(Some(inside.guest.0))
    }

    /// A message about a packet that went out (RFC 5508, 4): the guest sees its own packet in it.
    fn translate_trouble(
        &mut self,
        packet: &mut [u8],
        facts: Facts,
        now: Instant,
    ) -> Result<Option<Ipv4Addr>, Refusal> {
        const BEFORE: usize = 8;
        let total = array(packet, 2).map(u16::from_be_bytes).map_or(0, usize::from);
        let Some(message) = packet.get_mut(facts.header..total) else { return Ok(None) };
        if packet::sum(message) != 0 {
            return Err(Refusal::Malformed);
        }
        let Some(within) = message.get_mut(BEFORE..) else { return Ok(None) };
        let Some(about) = About::read(within) else { return Ok(None) };
        let key = Outside { protocol: about.protocol, port: about.port, remote: about.remote };
        let Some(inside) =
            self.table.find(&key, now).filter(|_| Some(about.source) == self.outside)
        else {
            return Ok(None);
        };
        if facts.ttl <= 1 {
            return Err(Refusal::TimeToLive);
        }
        about.rewrite(within, &inside).ok_or(Refusal::Malformed)?;
        renew_sum(message).ok_or(Refusal::Malformed)?;
        let mut change = || {
            packet::age(packet)?;
            // A router that guests see as the gateway's name server would say more than it should.
            if facts.source == about.remote.0 && inside.meant != about.remote {
                packet::rewrite_address(packet, Side::Source, inside.meant.0)?;
            }
            packet::rewrite_address(packet, Side::Destination, inside.guest.0)
        };
        change().ok_or(Refusal::Malformed)?;
        Ok(Some(inside.guest.0))
    }

    fn redirect(&self, protocol: Protocol, meant: (Ipv4Addr, u16)) -> (Ipv4Addr, u16) {
        let is_meant = |redirect: &&Redirect| protocol != Protocol::Echo && redirect.from == meant;
        self.config.redirects.iter().find(is_meant).map_or(meant, |redirect| redirect.to)
    }

    fn may_reach(&self, address: Ipv4Addr, outside: Ipv4Addr) -> bool {
        let is_of_one = !address.is_multicast()
            && !address.is_broadcast()
            && !address.is_unspecified()
            && !address.is_loopback()
            && !address.is_link_local();
        let forbidden = &self.config.forbidden;
        let is_forbidden = |network: &Network| network.contains(IpAddr::V4(address));
        is_of_one && address != outside && !forbidden.iter().any(is_forbidden)
    }
}

/// Makes the sum of a message of ICMP anew. It was found right before.
fn renew_sum(message: &mut [u8]) -> Option<()> {
    message.get_mut(2..)?.first_chunk_mut::<2>()?.fill(0);
    let sum = packet::sum(message);
    *message.get_mut(2..)?.first_chunk_mut::<2>()? = sum.to_be_bytes();
    Some(())
}

/// The packet that a message is about: its header, and eight bytes (RFC 792).
struct About {
    header: usize,
    protocol: Protocol,
    source: Ipv4Addr,
    port: u16,
    remote: (Ipv4Addr, u16),
}

impl About {
    fn read(packet: &[u8]) -> Option<Self> {
        let [first] = array(packet, 0)?;
        let header = usize::from(first & 0xf) * 4;
        if first >> 4 != 4 || header < 20 {
            return None;
        }
        let [number] = array(packet, 9)?;
        let protocol = match number {
            1 => Protocol::Echo,
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            _ => return None,
        };
        let [a, b, c, d, e, f, ..] = array::<8>(packet, header)?;
        let words = [[a, b], [c, d], [e, f]].map(u16::from_be_bytes);
        let [source_port, destination_port, ident] = words;
        let (port, remote_port) = match protocol {
            Protocol::Echo => (ident, 0),
            Protocol::Tcp | Protocol::Udp => (source_port, destination_port),
        };
        let address = |at| array::<4>(packet, at).map(Ipv4Addr::from);
        let remote = (address(16)?, remote_port);
        Some(Self { header, protocol, source: address(12)?, port, remote })
    }

    /// Makes it what the guest sent. The sum of TCP is mostly cut off, and nobody looks at that of UDP: they are left.
    fn rewrite(&self, packet: &mut [u8], inside: &Inside) -> Option<()> {
        packet::rewrite_address(packet, Side::Source, inside.guest.0)?;
        packet::rewrite_address(packet, Side::Destination, inside.meant.0)?;
        let ports = packet.get_mut(self.header..)?.first_chunk_mut::<8>()?;
        let [a, b] = inside.guest.1.to_be_bytes();
        let [c, d] = inside.meant.1.to_be_bytes();
        match self.protocol {
            Protocol::Echo => ports[4..6].copy_from_slice(&[a, b]),
            Protocol::Tcp | Protocol::Udp => ports[..4].copy_from_slice(&[a, b, c, d]),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
