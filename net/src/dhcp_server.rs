//! A DHCP server for guests (RFC 2131, 2132): payloads of UDP come in, payloads go out, and which address is whose.
//!
//! The switch vouches for who asks: a request whose hardware address is not that of the frame's sender is not answered, and each
//! station has one address at most, so no guest can take them all. A lease is told to the switch, which lets nobody else
//! use the address.

use crate::switch::MacAddr;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

/// Addresses of a pool.
const MOST_ADDRESSES: u32 = 1024;
/// How long an address that was offered waits to be asked for.
const OFFER: Duration = Duration::from_secs(30);
/// How long an address is not given that a client found somebody else at.
const DECLINED: Duration = Duration::from_secs(600);
/// The shortest message (RFC 1542, 2.1).
const SHORTEST: usize = 300;
/// Name servers that are told.
const MOST_NAME_SERVERS: usize = 3;

/// What is given.
#[derive(Clone, Debug)]
pub struct DhcpConfig {
    /// The server's own address.
    pub server: Ipv4Addr,
    /// The leading bits that all addresses of the network have in common.
    pub prefix: u8,
    /// The first address that is given.
    pub first: Ipv4Addr,
    /// The last one; at most 1023 later.
    pub last: Ipv4Addr,
    /// How long an address is a client's.
    pub lease: Duration,
    /// The router, if there is one.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers, of which the first three are told.
    pub name_servers: Vec<Ipv4Addr>,
}

/// Why there is no server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadPool {
    /// It is empty, too large, or not within the network.
    Range,
}

/// What changed by a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Nothing that others must know.
    None,
    /// The address is the client's now, and its only one: one that it had before is not its any more.
    Leased(Ipv4Addr),
    /// It is not any more.
    Released(Ipv4Addr),
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Destination {
    /// To all (and port 68).
    Broadcast,
    /// To this address, at the station that asked.
    Client(Ipv4Addr),
}

/// What a message led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// Whose an address is now.
    pub change: Change,
    /// The answer.
    pub answer: Option<(Destination, Vec<u8>)>,
}

const IGNORED: Outcome = Outcome { change: Change::None, answer: None };

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Offered,
    Leased,
    /// Somebody else was found there.
    Declined,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    mac: MacAddr,
    state: State,
    until: Instant,
}

/// A lease, for listings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leased {
    /// The address.
    pub address: Ipv4Addr,
    /// Whose it is.
    pub mac: MacAddr,
    /// Until when.
    pub until: Instant,
}

/// The server of a network.
#[derive(Debug)]
pub struct DhcpServer {
    config: DhcpConfig,
    leases: BTreeMap<Ipv4Addr, Lease>,
}

impl DhcpServer {
    /// A server without leases.
    ///
    /// # Errors
    ///
    /// If it has no addresses, or strange ones.
    pub fn new(config: DhcpConfig) -> Result<Self, BadPool> {
        let (first, last) = (config.first.to_bits(), config.last.to_bits());
        let mask = mask(config.prefix);
        let network = config.server.to_bits() & mask;
        let is_within = |address: u32| {
            address & mask == network && address != network && address != network | !mask
        };
        let is_good = config.prefix <= 30
            && first <= last
            && last - first < MOST_ADDRESSES
            && is_within(first)
            && is_within(last)
            && is_within(config.server.to_bits());
        if is_good { Ok(Self { config, leases: BTreeMap::new() }) } else { Err(BadPool::Range) }
    }

    /// A message to port 67 has come from the station `mac`, which the switch vouches for.
    pub fn receive(&mut self, mac: MacAddr, payload: &[u8], now: Instant) -> Outcome {
        let Ok(packet) = DhcpPacket::new_checked(payload) else { return IGNORED };
        let Ok(request) = DhcpRepr::parse(&packet) else { return IGNORED };
        let is_own = request.client_hardware_address == EthernetAddress(mac.0);
        if !is_own || !request.relay_agent_ip.is_unspecified() {
            return IGNORED;
        }
        let is_for_us = request.server_identifier.is_none_or(|server| server == self.config.server);
        match request.message_type {
            DhcpMessageType::Discover => self.discover(mac, &request, now),
            DhcpMessageType::Request if !is_for_us => {
                // It took another server's offer.
                self.forget(mac, State::Offered);
                IGNORED
            }
            DhcpMessageType::Request => self.request(mac, &request, now),
            DhcpMessageType::Release if is_for_us => {
                let released = self.own(mac, now).filter(|own| *own == request.client_ip);
                self.end(mac, released)
            }
            DhcpMessageType::Decline if is_for_us => self.decline(mac, &request, now),
            DhcpMessageType::Inform if self.is_in_network(request.client_ip) => {
                let answer = self.answer(&request, DhcpMessageType::Ack, None);
                let to = Destination::Client(request.client_ip);
                Outcome { change: Change::None, answer: Some((to, answer)) }
            }
            DhcpMessageType::Release
            | DhcpMessageType::Decline
            | DhcpMessageType::Inform
            | DhcpMessageType::Offer
            | DhcpMessageType::Ack
            | DhcpMessageType::Nak
            | DhcpMessageType::Unknown(_) => IGNORED,
        }
    }

    /// Leases that have ended since the last call: they are the clients' no longer.
    pub fn expire(&mut self, now: Instant) -> Vec<Ipv4Addr> {
        let is_over = |lease: &Lease| lease.until <= now;
        let leased = |(address, lease): (&Ipv4Addr, &Lease)| {
            (is_over(lease) && lease.state == State::Leased).then_some(*address)
        };
        let over = self.leases.iter().filter_map(leased).collect();
        self.leases.retain(|_, lease| !is_over(lease));
        over
    }

    /// Addresses that are clients'.
    pub fn leases(&self) -> impl Iterator<Item = Leased> {
        let leased = self.leases.iter().filter(|(_, lease)| lease.state == State::Leased);
        leased.map(|(address, lease)| Leased {
            address: *address,
            mac: lease.mac,
            until: lease.until,
        })
    }

    fn discover(&mut self, mac: MacAddr, request: &DhcpRepr<'_>, now: Instant) -> Outcome {
        let Some(address) = self.choose(mac, request.requested_ip, now) else { return IGNORED };
        // A lease that has ended stays until that was told.
        let is_leased = |lease: &Lease| lease.mac == mac && lease.state == State::Leased;
        if !self.leases.get(&address).is_some_and(is_leased) {
            let lease = Lease { mac, state: State::Offered, until: now + OFFER };
            self.leases.insert(address, lease);
        }
        let answer = self.answer(request, DhcpMessageType::Offer, Some(address));
        Outcome { change: Change::None, answer: Some((destination(request, address), answer)) }
    }

    fn request(&mut self, mac: MacAddr, request: &DhcpRepr<'_>, now: Instant) -> Outcome {
        // A client that renews has the address already (RFC 2131, 4.3.2).
        let wanted = request.requested_ip.unwrap_or(request.client_ip);
        if !self.is_free_for(mac, wanted, now) {
            let answer = self.answer(request, DhcpMessageType::Nak, None);
            let answer = Some((Destination::Broadcast, answer));
            return Outcome { change: Change::None, answer };
        }
        self.leases.retain(|address, lease| {
            lease.mac != mac || lease.state == State::Declined || *address == wanted
        });
        let until = now + self.config.lease;
        self.leases.insert(wanted, Lease { mac, state: State::Leased, until });
        let answer = self.answer(request, DhcpMessageType::Ack, Some(wanted));
        let answer = Some((destination(request, wanted), answer));
        Outcome { change: Change::Leased(wanted), answer }
    }

    fn decline(&mut self, mac: MacAddr, request: &DhcpRepr<'_>, now: Instant) -> Outcome {
        let own = self.own(mac, now).filter(|own| request.requested_ip == Some(*own));
        let outcome = self.end(mac, own);
        // One address for each station is kept from others so, and no more.
        self.forget(mac, State::Declined);
        if let Some(address) = own {
            let until = now + DECLINED;
            self.leases.insert(address, Lease { mac, state: State::Declined, until });
        }
        outcome
    }

    fn end(&mut self, mac: MacAddr, address: Option<Ipv4Addr>) -> Outcome {
        let Some(address) = address else { return IGNORED };
        self.forget(mac, State::Leased);
        Outcome { change: Change::Released(address), answer: None }
    }

    fn forget(&mut self, mac: MacAddr, state: State) {
        self.leases.retain(|_, lease| lease.mac != mac || lease.state != state);
    }

    /// The address that the station has.
    fn own(&self, mac: MacAddr, now: Instant) -> Option<Ipv4Addr> {
        self.held(mac, State::Leased, now)
    }

    fn held(&self, mac: MacAddr, state: State, now: Instant) -> Option<Ipv4Addr> {
        let is_own = |lease: &Lease| lease.mac == mac && lease.state == state && lease.until > now;
        self.leases.iter().find(|(_, lease)| is_own(lease)).map(|(address, _)| *address)
    }

    /// The address to offer: that which the station has, was offered or wants, else the first that is free (RFC 2131, 4.3.1).
    fn choose(&self, mac: MacAddr, wanted: Option<Ipv4Addr>, now: Instant) -> Option<Ipv4Addr> {
        let has = [State::Leased, State::Offered].map(|state| self.held(mac, state, now));
        let wanted = wanted.filter(|wanted| self.is_free_for(mac, *wanted, now));
        let [leased, offered] = has;
        let mut all = self.config.first.to_bits()..=self.config.last.to_bits();
        let is_free = |bits: &u32| self.is_free_for(mac, Ipv4Addr::from_bits(*bits), now);
        leased.or(offered).or(wanted).or_else(|| all.find(is_free).map(Ipv4Addr::from_bits))
    }

    fn is_free_for(&self, mac: MacAddr, address: Ipv4Addr, now: Instant) -> bool {
        let is_given = (self.config.first..=self.config.last).contains(&address)
            && address != self.config.server
            && Some(address) != self.config.gateway;
        is_given
            && self.leases.get(&address).is_none_or(|lease| {
                // Others get what was a client's when `expire` has told that it is no longer.
                let is_over = lease.until <= now && lease.state != State::Leased;
                is_over || (lease.mac == mac && lease.state != State::Declined)
            })
    }

    fn is_in_network(&self, address: Ipv4Addr) -> bool {
        let mask = mask(self.config.prefix);
        address.to_bits() & mask == self.config.server.to_bits() & mask
    }

    fn answer(
        &self,
        request: &DhcpRepr<'_>,
        kind: DhcpMessageType,
        address: Option<Ipv4Addr>,
    ) -> Vec<u8> {
        let config = &self.config;
        let is_no = kind == DhcpMessageType::Nak;
        let seconds = u32::try_from(config.lease.as_secs()).unwrap_or(u32::MAX);
        let mut answer = DhcpRepr {
            message_type: kind,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: request.client_hardware_address,
            client_ip: if is_no { Ipv4Addr::UNSPECIFIED } else { request.client_ip },
            your_ip: address.unwrap_or(Ipv4Addr::UNSPECIFIED),
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: config.gateway.filter(|_| !is_no),
            subnet_mask: (!is_no).then(|| Ipv4Addr::from_bits(mask(config.prefix))),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: request.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(config.server),
            parameter_request_list: None,
            dns_servers: (!is_no && !config.name_servers.is_empty()).then(Default::default),
            max_size: None,
            lease_duration: address.map(|_| seconds),
            // A half and seven eighths of the lease, unless said otherwise (RFC 2131, 4.4.5).
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        if let Some(servers) = &mut answer.dns_servers {
            for server in config.name_servers.iter().take(MOST_NAME_SERVERS) {
                // There is room for three.
                let _ = servers.push(*server);
            }
        }
        let mut bytes = vec![0; answer.buffer_len().max(SHORTEST)];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes[..]);
        if answer.emit(&mut packet).is_err() {
            bytes.clear();
        }
        bytes
    }
}

/// A client that has an address gets its answer there; one that cannot yet receive by it asks for a broadcast
/// (RFC 2131, 4.1).
fn destination(request: &DhcpRepr<'_>, address: Ipv4Addr) -> Destination {
    if !request.client_ip.is_unspecified() {
        Destination::Client(request.client_ip)
    } else if request.broadcast {
        Destination::Broadcast
    } else {
        Destination::Client(address)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

#[cfg(test)]
mod tests;
