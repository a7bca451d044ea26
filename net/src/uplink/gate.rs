//! Roost's port on a network of guests: what comes there.

use super::frame::{self, Carries, End, Head, Packet, Transport};
use crate::dhcp_server::{BadPool, Change, Destination, DhcpConfig, DhcpServer};
use crate::switch::MacAddr;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Stations of guests: a switch has no more ports.
const MOST_STATIONS: usize = 64;
/// Addresses that are given out.
const MOST_ADDRESSES: u32 = 1024;
/// How long each is a guest's.
const LEASE: Duration = Duration::from_secs(3600);
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DNS: u16 = 53;

/// Whether there is a way to the outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outward {
    /// By a [`Router`](super::Router), and queries for names go the same way.
    Routed,
    /// There is none.
    None,
}

/// What Roost is on the network.
#[derive(Clone, Copy, Debug)]
pub struct GateConfig {
    /// Its station.
    pub mac: MacAddr,
    /// Its address: the first of the network.
    pub address: Ipv4Addr,
    /// The leading bits that all addresses of the network have in common.
    pub prefix: u8,
    /// Whether guests reach more than each other and Roost.
    pub outward: Outward,
}

/// What a message of DHCP led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dhcp {
    /// Who sent it.
    pub client: MacAddr,
    /// Whose an address is now.
    pub change: Change,
    /// The address that the client had before, if it has another one now.
    pub before: Option<Ipv4Addr>,
    /// The frame that answers it.
    pub answer: Option<Vec<u8>>,
}

/// What becomes of a frame.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Way {
    /// It is for Roost's stack.
    Local,
    /// Its packet goes outside. What was begun with these addresses has ended: their guests have them no more.
    Outside([Option<Ipv4Addr>; 2]),
    /// It was for the DHCP server.
    Dhcp(Dhcp),
    /// It goes nowhere.
    Nowhere,
}

/// Roost's port. What the switch forwards there is from who it says.
#[derive(Debug)]
pub struct Gate {
    config: GateConfig,
    dhcp: DhcpServer,
    /// The address with which a guest goes outside, and when it last did. Each has one only: it can take no more of the
    /// router's tables than one guest's part.
    stations: BTreeMap<MacAddr, (Ipv4Addr, Instant)>,
}

impl Gate {
    /// A gate that gives out the network's addresses.
    ///
    /// # Errors
    ///
    /// If the network has too few.
    pub fn new(config: GateConfig) -> Result<Self, BadPool> {
        let GateConfig { address, prefix, outward, .. } = config;
        let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let last = (address.to_bits() | hosts).saturating_sub(1);
        let first = address.to_bits().saturating_add(1);
        let router = (outward == Outward::Routed).then_some(address);
        let dhcp = DhcpServer::new(DhcpConfig {
            server: address,
            prefix,
            first: Ipv4Addr::from_bits(first),
            last: Ipv4Addr::from_bits(last.min(first.saturating_add(MOST_ADDRESSES - 1))),
            lease: LEASE,
            gateway: router,
            name_servers: router.into_iter().collect(),
        })?;
        Ok(Self { config, dhcp, stations: BTreeMap::new() })
    }

    /// What it is.
    #[must_use]
    pub fn config(&self) -> GateConfig {
        self.config
    }

    /// The DHCP server.
    #[must_use]
    pub fn dhcp(&self) -> &DhcpServer {
        &self.dhcp
    }

    /// Leases that have ended since the last call.
    pub fn expire(&mut self, now: Instant) -> Vec<Ipv4Addr> {
        self.dhcp.expire(now)
    }

    /// A frame has come.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) -> Way {
        let Some(head) = frame::read(bytes) else { return Way::Nowhere };
        if head.destination.is_unicast() && head.destination != self.config.mac {
            return Way::Nowhere;
        }
        let Carries::Ipv4(packet) = head.carries else { return Way::Local };
        match packet.port {
            Some((Transport::Udp, DHCP_SERVER)) => self.answer(head, bytes, now),
            Some((_, DNS)) if packet.destination == self.config.address => {
                self.outward(head, packet, now)
            }
            _ if !head.destination.is_unicast() || packet.destination == self.config.address => {
                Way::Local
            }
            _ => self.outward(head, packet, now),
        }
    }

    /// The frame in `bytes`, whose packet goes to this guest, gets its stations. `false` if the guest is not known.
    pub fn address(&self, guest: Ipv4Addr, bytes: &mut [u8]) -> bool {
        let station = self.stations.iter().find(|(_, (address, _))| *address == guest);
        if let Some((mac, _)) = station {
            frame::address(bytes, *mac, self.config.mac);
        }
        station.is_some()
    }

    /// Whether an address is one of this network.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let hosts = u32::MAX.checked_shr(self.config.prefix.into()).unwrap_or(0);
        address.to_bits() & !hosts == self.config.address.to_bits() & !hosts
    }

    fn answer(&mut self, head: Head, bytes: &[u8], now: Instant) -> Way {
        let Some(payload) = frame::udp_payload(bytes) else { return Way::Nowhere };
        let leased = |dhcp: &DhcpServer| {
            dhcp.leases().find(|lease| lease.mac == head.source).map(|lease| lease.address)
        };
        let before = leased(&self.dhcp);
        let outcome = self.dhcp.receive(head.source, payload, now);
        let before = before.filter(|_| outcome.change != Change::None);
        let before = before.filter(|before| leased(&self.dhcp) != Some(*before));
        let answer = outcome.answer.map(|(to, payload)| {
            let from =
                End { mac: self.config.mac, address: self.config.address, port: DHCP_SERVER };
            let to = match to {
                Destination::Broadcast => {
                    End { mac: MacAddr::BROADCAST, address: Ipv4Addr::BROADCAST, port: DHCP_CLIENT }
                }
                Destination::Client(address) => {
                    End { mac: head.source, address, port: DHCP_CLIENT }
                }
            };
            frame::udp(from, to, &payload)
        });
        Way::Dhcp(Dhcp { client: head.source, change: outcome.change, before, answer })
    }

    fn outward(&mut self, head: Head, packet: Packet, now: Instant) -> Way {
        let is_guest = self.contains(packet.source) && packet.source != self.config.address;
        if self.config.outward == Outward::None || !is_guest {
            return Way::Nowhere;
        }
        // From one guest to another there is a shorter way.
        if self.contains(packet.destination) && packet.destination != self.config.address {
            return Way::Nowhere;
        }
        if let Some((address, used)) = self.stations.get_mut(&head.source)
            && *address == packet.source
        {
            *used = now;
            return Way::Outside([None; 2]);
        }
        let gone = self.make_room(head.source, packet.source);
        let before = self.stations.insert(head.source, (packet.source, now));
        Way::Outside([gone, before.map(|(address, _)| address)])
    }

    /// Forgets whoever had the address before `mac`, whom its answers would go to, or the one that was silent longest if there is
    /// no room for another one. Returns the address that is not a guest's any more.
    fn make_room(&mut self, mac: MacAddr, address: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut others = self.stations.iter().filter(|(other, _)| **other != mac);
        let mut gone = others.find(|(_, (other, _))| *other == address);
        if gone.is_none()
            && !self.stations.contains_key(&mac)
            && self.stations.len() >= MOST_STATIONS
        {
            gone = self.stations.iter().min_by_key(|(_, (_, used))| *used);
        }
        let gone = gone.map(|(mac, _)| *mac)?;
        self.stations.remove(&gone).map(|(address, _)| address)
    }
}
