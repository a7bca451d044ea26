//! The switch: where a frame goes.

use super::address::MacAddr;
use super::claims::{Claim, Claims};
use super::inspect::{self, Says};
use super::port::{
    Addresses, Attachment, Counters, Guard, Isolation, MAX_PORTS, PortConfig, PortId, PortSet,
};
use super::table::{Learnt, Table};
use crate::bucket::{Taken, TokenBucket};
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The shortest frame: its header.
const SHORTEST: usize = 14;

/// What a network is.
#[derive(Clone, Debug, Default)]
pub struct SwitchConfig {
    /// Addresses of the host: no guest may have them.
    pub reserved: Vec<IpAddr>,
}

/// Why a port cannot be attached, or not get an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// All ports are taken.
    Full,
    /// Another guest has this MAC address.
    MacInUse,
    /// It is the address of many stations, or of none.
    NotUnicast,
    /// Another port has this IP address, or it is reserved.
    AddressInUse,
    /// There is no such port, or no longer.
    NoPort,
}

/// Why a frame goes nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is shorter than its header, or longer than the port's longest.
    Length,
    /// The port sends too much.
    Rate,
    /// The port sends too much to many.
    FloodRate,
    /// Its sender is not the port's station, or is a station of another port.
    Mac,
    /// It says that somebody else's IP address is its sender's.
    Address,
    /// Its sender uses more addresses than a guest may.
    TooManyAddresses,
    /// It is a router's or a DHCP server's.
    Server,
    /// What it says cannot be seen.
    Hidden,
    /// It is cut off, or contradicts itself.
    Malformed,
    /// It is for neighbouring switches only.
    LinkLocal,
    /// There is nobody whom it is for, and whom its port reaches.
    Nobody,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Length,
        Self::Rate,
        Self::FloodRate,
        Self::Mac,
        Self::Address,
        Self::TooManyAddresses,
        Self::Server,
        Self::Hidden,
        Self::Malformed,
        Self::LinkLocal,
        Self::Nobody,
    ];

    /// Its name in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Rate => "rate",
            Self::FloodRate => "flood-rate",
            Self::Mac => "mac",
            Self::Address => "address",
            Self::TooManyAddresses => "too-many-addresses",
            Self::Server => "server",
            Self::Hidden => "hidden",
            Self::Malformed => "malformed",
            Self::LinkLocal => "link-local",
            Self::Nobody => "nobody",
        }
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is for these ports; at least one, and never the one that it came from.
    Forward(PortSet),
    /// It goes nowhere. That is counted.
    Refuse(Refusal),
}

#[derive(Debug)]
struct Port {
    id: PortId,
    attachment: Attachment,
    isolation: Isolation,
    longest: usize,
    bytes: Option<TokenBucket>,
    frames: Option<TokenBucket>,
    floods: Option<TokenBucket>,
    counters: Counters,
}

/// One network.
#[derive(Debug)]
pub struct Switch {
    ports: Vec<Option<Port>>,
    table: Table,
    claims: Claims,
    next_generation: u32,
}

impl Switch {
    /// A network without ports.
    #[must_use]
    pub fn new(config: &SwitchConfig) -> Self {
        let mut claims = Claims::default();
        for address in &config.reserved {
            claims.reserve(*address);
        }
        Self { ports: Vec::new(), table: Table::default(), claims, next_generation: 0 }
    }

    /// Adds a port.
    ///
    /// # Errors
    ///
    /// If there is no room, or what the port has to itself is another's.
    pub fn attach(&mut self, config: PortConfig, now: Instant) -> Result<PortId, Error> {
        let free = self.ports.iter().position(Option::is_none);
        let index = free.unwrap_or(self.ports.len());
        let place = u8::try_from(index).ok().filter(|_| index < MAX_PORTS).ok_or(Error::Full)?;
        let id = PortId { index: place, generation: self.next_generation };
        if let Attachment::Guest(guard) = &config.attachment {
            self.attach_guest(guard, index)?;
        }
        self.next_generation = self.next_generation.wrapping_add(1);
        let bucket = |rate: Option<_>| rate.map(|rate| TokenBucket::new(rate, now));
        let port = Port {
            id,
            attachment: config.attachment,
            isolation: config.isolation,
            longest: config.longest_frame,
            bytes: bucket(config.rates.bytes),
            frames: bucket(config.rates.frames),
            floods: bucket(config.rates.floods),
            counters: Counters::default(),
        };
        match self.ports.get_mut(index) {
            Some(place) => *place = Some(port),
            None => self.ports.push(Some(port)),
        }
        Ok(id)
    }

    /// Takes a port away, and what it had to itself.
    pub fn detach(&mut self, id: PortId) {
        if self.port(id).is_none() {
            return;
        }
        if let Some(place) = self.ports.get_mut(id.index()) {
            *place = None;
        }
        self.table.forget(id.index());
        self.claims.release(id.index());
    }

    /// The address is the host's from now on, whoever used it before.
    pub fn reserve(&mut self, address: IpAddr) {
        self.claims.reserve(address);
    }

    /// The address is not the host's any more.
    pub fn unreserve(&mut self, address: IpAddr) {
        self.claims.unreserve(address);
    }

    /// The address is this port's from now on: a lease.
    ///
    /// # Errors
    ///
    /// If it is reserved or another port's.
    pub fn allow(&mut self, id: PortId, address: IpAddr) -> Result<(), Error> {
        self.port(id).ok_or(Error::NoPort)?;
        match self.claims.allow(address, id.index()) {
            Claim::Granted => Ok(()),
            Claim::Refused | Claim::TooMany => Err(Error::AddressInUse),
        }
    }

    /// The address is no longer this port's: its lease has ended.
    pub fn disallow(&mut self, id: PortId, address: IpAddr) {
        if self.port(id).is_some() {
            self.claims.disallow(address, id.index());
        }
    }

    /// Where the frame of `len` bytes goes that came from the port `from` and begins with `head`, which are its first
    /// [`HEAD_BYTES`](super::HEAD_BYTES), or the whole of it.
    pub fn forward(&mut self, from: PortId, head: &[u8], len: usize, now: Instant) -> Verdict {
        let verdict = match self.judge(from, head, len, now) {
            Ok(to) => Verdict::Forward(to),
            Err(why) => Verdict::Refuse(why),
        };
        if let Some(port) = self.port_mut(from) {
            match verdict {
                Verdict::Forward(_) => port.counters.sent.add(len),
                Verdict::Refuse(why) => port.counters.refuse(why),
            }
        }
        verdict
    }

    /// The port at the place `to` has received a frame of `len` bytes.
    pub fn delivered(&mut self, to: usize, len: usize) {
        if let Some(Some(port)) = self.ports.get_mut(to) {
            port.counters.received.add(len);
        }
    }

    /// The port at the place `to` had no room for a frame of `len` bytes.
    pub fn dropped(&mut self, to: usize, len: usize) {
        if let Some(Some(port)) = self.ports.get_mut(to) {
            port.counters.dropped.add(len);
        }
    }

    /// What a port has counted.
    #[must_use]
    pub fn counters(&self, id: PortId) -> Option<Counters> {
        self.port(id).map(|port| port.counters)
    }

    /// The ports, in the order of their places.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Attachment, Counters)> {
        self.ports.iter().flatten().map(|port| (port.id, &port.attachment, port.counters))
    }

    /// The IP addresses that a port has, by configuration, by a lease or by using them; 16 or a few more.
    #[must_use]
    pub fn addresses(&self, id: PortId) -> Vec<IpAddr> {
        self.claims.of(id.index()).collect()
    }

    /// Stations behind open ports.
    pub fn learnt(&self, now: Instant) -> impl Iterator<Item = Learnt> {
        self.table.iter(now)
    }

    /// How often there was no room to learn where a station is.
    #[must_use]
    pub fn unlearnt(&self) -> u64 {
        self.table.unlearnt()
    }

    fn attach_guest(&mut self, guard: &Guard, index: usize) -> Result<(), Error> {
        if !guard.mac.is_unicast() {
            return Err(Error::NotUnicast);
        }
        if self.guest_of(guard.mac).is_some() {
            return Err(Error::MacInUse);
        }
        if let Addresses::Only(addresses) = &guard.addresses {
            let own = IpAddr::V6(guard.mac.link_local());
            for address in addresses.iter().chain([&own]) {
                if self.claims.allow(*address, index) != Claim::Granted {
                    self.claims.release(index);
                    return Err(Error::AddressInUse);
                }
            }
        }
        self.table.remove(guard.mac);
        Ok(())
    }

    fn judge(
        &mut self,
        from: PortId,
        head: &[u8],
        len: usize,
        now: Instant,
    ) -> Result<PortSet, Refusal> {
        let port = self.port_mut(from).ok_or(Refusal::Nobody)?;
        let addresses = inspect::addresses(head.get(..len.min(head.len())).unwrap_or(head));
        let (destination, source) = addresses.ok_or(Refusal::Length)?;
        if len < SHORTEST || len > port.longest {
            return Err(Refusal::Length);
        }
        take(&mut port.frames, 1, now, Refusal::Rate)?;
        take(&mut port.bytes, len as u64, now, Refusal::Rate)?;
        self.check_sender(from, head, source, now)?;
        if destination.is_link_local() {
            return Err(Refusal::LinkLocal);
        }
        let to = self.find(from, destination, now);
        if to.is_empty() {
            return Err(Refusal::Nobody);
        }
        if !destination.is_unicast()
            && let Some(port) = self.port_mut(from)
        {
            take(&mut port.floods, 1, now, Refusal::FloodRate)?;
        }
        Ok(to)
    }

    /// Whether the sender is who it says. If it is behind an open port, that is learnt.
    fn check_sender(
        &mut self,
        from: PortId,
        head: &[u8],
        source: MacAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        let port = self.port(from).ok_or(Refusal::Nobody)?;
        let (mac, addresses) = match &port.attachment {
            Attachment::Open => {
                // A guest's own frame that comes back, or somebody who would like to be it.
                if !source.is_unicast() || self.guest_of(source).is_some() {
                    return Err(Refusal::Mac);
                }
                self.table.learn(source, from.index(), now);
                return Ok(());
            }
            Attachment::Guest(guard) => (guard.mac, Rule::of(&guard.addresses)),
        };
        if source != mac {
            return Err(Refusal::Mac);
        }
        match inspect::inspect(head, source) {
            Says::Nothing => Ok(()),
            Says::Sender(address) => self.check_address(from, address, addresses, now),
            Says::Senders(one, other) => {
                self.check_address(from, one, addresses, now)?;
                self.check_address(from, other, addresses, now)
            }
            Says::OtherStation => Err(Refusal::Address),
            Says::Server => Err(Refusal::Server),
            Says::Hidden => Err(Refusal::Hidden),
            Says::Malformed => Err(Refusal::Malformed),
        }
    }

    fn check_address(
        &mut self,
        from: PortId,
        address: IpAddr,
        rule: Rule,
        now: Instant,
    ) -> Result<(), Refusal> {
        match rule {
            Rule::Only if self.claims.is_allowed(address, from.index()) => Ok(()),
            Rule::Only => Err(Refusal::Address),
            Rule::FirstCome => match self.claims.claim(address, from.index(), now) {
                Claim::Granted => Ok(()),
                Claim::Refused => Err(Refusal::Address),
                Claim::TooMany => Err(Refusal::TooManyAddresses),
            },
        }
    }

    /// The ports that `destination` is at and that `from` reaches.
    fn find(&self, from: PortId, destination: MacAddr, now: Instant) -> PortSet {
        let known = destination
            .is_unicast()
            .then(|| self.guest_of(destination).or_else(|| self.table.find(destination, now)));
        let is_from_isolated =
            self.port(from).is_some_and(|port| port.isolation == Isolation::Isolated);
        let mut to = PortSet::default();
        for port in self.ports.iter().flatten() {
            let is_meant = match known {
                // To all of a group: who is in it is each one's own matter.
                None => true,
                // No guest has it, for theirs are known.
                Some(None) => matches!(port.attachment, Attachment::Open),
                Some(Some(index)) => index == port.id.index(),
            };
            let is_reached = !is_from_isolated || port.isolation == Isolation::None;
            if is_meant && is_reached && port.id != from {
                to.insert(port.id.index());
            }
        }
        to
    }

    /// The place of the guest with this address.
    fn guest_of(&self, mac: MacAddr) -> Option<usize> {
        let has =
            |port: &&Port| matches!(&port.attachment, Attachment::Guest(guard) if guard.mac == mac);
        self.ports.iter().flatten().find(has).map(|port| port.id.index())
    }

    fn port(&self, id: PortId) -> Option<&Port> {
        self.ports.get(id.index())?.as_ref().filter(|port| port.id == id)
    }

    fn port_mut(&mut self, id: PortId) -> Option<&mut Port> {
        self.ports.get_mut(id.index())?.as_mut().filter(|port| port.id == id)
    }
}

/// How a guest comes by its addresses.
#[derive(Clone, Copy)]
enum Rule {
    Only,
    FirstCome,
}

impl Rule {
    fn of(addresses: &Addresses) -> Self {
        match addresses {
            Addresses::Only(_) => Self::Only,
            Addresses::FirstCome => Self::FirstCome,
        }
    }
}

fn take(
    bucket: &mut Option<TokenBucket>,
    count: u64,
    now: Instant,
    why: Refusal,
) -> Result<(), Refusal> {
    match bucket.as_mut().map(|bucket| bucket.take(count, now)) {
        Some(Taken::No) => Err(why),
        Some(Taken::Yes) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
