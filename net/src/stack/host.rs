//! The stack: addresses, listeners and connections over a card.

use super::card::{Card, Frames, Link, Polling};
use super::config::{Ipv4Config, Ipv6Config, ListenConfig, StackConfig};
use super::listener::{Connection, Gone, Listener, ListenerId, PortActivity};
use super::ping::{Ping, Pong};
use crate::switch::MacAddr;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use smoltcp::iface::{
    Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet,
};
use smoltcp::socket::dhcpv4;
use smoltcp::socket::tcp::Socket;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr, Ipv6Cidr};

/// Ports that can be listened on.
const MOST_LISTENERS: usize = 16;

/// How long an address is kept after the cable was out until a DHCP server confirms it, which RFC 2131, 3.2, allows for as long as the
/// lease lasts: so sessions outlast the cable, but not for long if it leads elsewhere now.
const DOUBT: Duration = Duration::from_secs(30);

/// Why something cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// The card's address is not that of one station.
    NotUnicast,
    /// An address cannot be a host's, or has too long a prefix.
    Address,
    /// The port is zero or taken, or there are too many.
    Port,
    /// There is no way to send it now.
    Unreachable,
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Polled {
    /// The budget is used up.
    More,
    /// Nothing until then, unless the card has something or somebody sends; [`Instant::NEVER`] if there is nothing at all.
    Until(Instant),
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Frames that came.
    pub received: u64,
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that could not be sent.
    pub lost: u64,
    /// Connections that were given up before anybody accepted them, or before the peer had received all.
    pub given_up: u64,
}

/// What the host is called at the moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Addresses {
    /// Its addresses, with the length of their prefixes.
    pub own: Vec<(IpAddr, u8)>,
    /// The router for IPv4.
    pub gateway: Option<Ipv4Addr>,
    /// The router for IPv6.
    pub gateway6: Option<Ipv6Addr>,
    /// Who has given the address of IPv4, if it was given.
    pub dhcp_server: Option<Ipv4Addr>,
    /// Name servers that DHCP told.
    pub name_servers: Vec<Ipv4Addr>,
}

/// The host's TCP/IP.
pub struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    frames: Box<Frames>,
    listeners: Vec<(ListenerId, Listener)>,
    dhcp: Option<SocketHandle>,
    ping: Ping,
    gateway: Option<Ipv4Addr>,
    gateway6: Option<Ipv6Addr>,
    dhcp_server: Option<Ipv4Addr>,
    name_servers: Vec<Ipv4Addr>,
    link: Link,
    /// Since when the address of DHCP is kept though nobody has confirmed it, for the cable was out.
    doubtful_since: Option<Instant>,
    counters: Counters,
    next_connection: u64,
    /// How often addresses have changed.
    changes: u64,
    next_listener: u64,
}

impl Stack {
    /// A stack for the card. `seed` makes its sequence numbers hard to guess: it must be random.
    ///
    /// # Errors
    ///
    /// If an address is none that a host can have.
    pub fn new(
        config: &StackConfig,
        card: &mut impl Card,
        seed: u64,
        now: Instant,
    ) -> Result<Self, Error> {
        let mac = card.mac();
        if !mac.is_unicast() {
            return Err(Error::NotUnicast);
        }
        let addresses = addresses(config, mac)?;
        let mut frames = Box::new(Frames::new());
        let mut hardware = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac.0)));
        hardware.random_seed = seed;
        let link = card.link();
        let mut interface = Interface::new(hardware, &mut polling(card, &mut frames, 0), time(now));
        interface.update_ip_addrs(|own| {
            // There is room for eight.
            let _ = own.extend_from_slice(&addresses);
        });
        let mut sockets = SocketSet::new(Vec::new());
        let ping = Ping::new(&mut sockets);
        let is_dhcp = config.ipv4 == Ipv4Config::Dhcp;
        let dhcp = is_dhcp.then(|| sockets.add(dhcpv4::Socket::new()));
        let mut stack = Self {
            interface,
            sockets,
            frames,
            listeners: Vec::new(),
            dhcp,
            ping,
            gateway: None,
            gateway6: None,
            dhcp_server: None,
            name_servers: Vec::new(),
            link,
            doubtful_since: None,
            counters: Counters::default(),
            next_connection: 0,
            changes: 0,
            next_listener: 0,
        };
        if let Ipv4Config::Static { gateway, .. } = config.ipv4 {
            stack.set_gateway(gateway);
        }
        if let Ipv6Config::Static { gateway: Some(gateway), .. } = config.ipv6 {
            // There is room for two routes: this one and that of IPv4.
            let _ = stack.interface.routes_mut().add_default_ipv6_route(gateway);
            stack.gateway6 = Some(gateway);
        }
        Ok(stack)
    }

    /// Listens on a port. All memory for its connections is taken now.
    ///
    /// # Errors
    ///
    /// If the port cannot be had.
    pub fn listen(&mut self, port: u16, config: &ListenConfig) -> Result<ListenerId, Error> {
        let is_taken = self.listeners.iter().any(|(_, other)| other.port() == port);
        if port == 0 || is_taken || self.listeners.len() >= MOST_LISTENERS {
            return Err(Error::Port);
        }
        let id = ListenerId(self.next_listener);
        self.next_listener += 1;
        self.listeners.push((id, Listener::new(port, config, &mut self.sockets)));
        Ok(id)
    }

    /// Listens no more. Its connections are no more either, which their peers see when they send something.
    pub fn unlisten(&mut self, listener: ListenerId) {
        let Some(index) = self.listeners.iter().position(|(id, _)| *id == listener) else { return };
        let (_, listener) = self.listeners.swap_remove(index);
        self.counters.given_up += listener.given_up;
        listener.end(&mut self.sockets);
    }

    /// Moves at most `budget` frames in each direction, and does what time asks for.
    pub fn poll(&mut self, card: &mut impl Card, budget: usize, now: Instant) -> Polled {
        self.watch_link(card.link(), now);
        self.ping.tend(&mut self.sockets, now);
        let mut device = polling(card, &mut self.frames, budget);
        let at = time(now);
        self.interface.poll_maintenance(at);
        let mut is_exhausted = true;
        for _ in 0..budget {
            let result = self.interface.poll_ingress_single(at, &mut device, &mut self.sockets);
            if result == PollIngressSingleResult::None {
                is_exhausted = device.budget == 0;
                break;
            }
            // The next frame may be a SYN to the same port.
            for (_, listener) in &mut self.listeners {
                if listener.is_full(&self.sockets) {
                    listener.tend(&mut self.sockets, now);
                }
            }
        }
        // Each round sends at most one frame of each socket.
        while device.budget != 0 {
            let result = self.interface.poll_egress(at, &mut device, &mut self.sockets);
            if result == PollResult::None {
                break;
            }
        }
        is_exhausted |= device.budget == 0;
        let (received, sent, lost) = (device.received, device.sent, device.lost);
        self.counters.received += received;
        self.counters.sent += sent;
        self.counters.lost += lost;
        self.watch_dhcp(now);
        for (_, listener) in &mut self.listeners {
            listener.tend(&mut self.sockets, now);
        }
        if is_exhausted { Polled::More } else { self.wake(now) }
    }

    /// A connection that has come about on a port.
    pub fn accept(&mut self, listener: ListenerId) -> Option<Connection> {
        let (_, listener) = self.listeners.iter_mut().find(|(id, _)| *id == listener)?;
        let connection = listener.accept(Connection(self.next_connection), &self.sockets)?;
        self.next_connection += 1;
        Some(connection)
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self, connection: Connection) -> Option<SocketAddr> {
        let socket = self.sockets.get::<Socket<'_>>(self.handle(connection)?);
        let end = socket.remote_endpoint()?;
        Some(SocketAddr::new(end.addr.into(), end.port))
    }

    /// Takes bytes that have come; how many. Zero is nothing now.
    ///
    /// # Errors
    ///
    /// If nothing more will come.
    pub fn receive(&mut self, connection: Connection, buf: &mut [u8]) -> Result<usize, Gone> {
        let handle = self.handle(connection).ok_or(Gone)?;
        self.sockets.get_mut::<Socket<'_>>(handle).recv_slice(buf).map_err(|_| Gone)
    }

    /// Sends as many of the bytes as there is room for; how many. It goes out at the next [`poll`](Self::poll).
    ///
    /// # Errors
    ///
    /// If nothing can be sent any more.
    pub fn send(&mut self, connection: Connection, bytes: &[u8]) -> Result<usize, Gone> {
        let handle = self.handle(connection).ok_or(Gone)?;
        self.sockets.get_mut::<Socket<'_>>(handle).send_slice(bytes).map_err(|_| Gone)
    }

    /// Bytes that are sent and not yet received by the peer.
    #[must_use]
    pub fn unsent(&self, connection: Connection) -> usize {
        let queue = |handle| self.sockets.get::<Socket<'_>>(handle).send_queue();
        self.handle(connection).map_or(0, queue)
    }

    /// Ends a connection after what was sent. The peer has some seconds to receive it.
    pub fn close(&mut self, connection: Connection, now: Instant) {
        if let Some(handle) = self.handle(connection) {
            self.sockets.get_mut::<Socket<'_>>(handle).close();
            self.release(connection, now);
        }
    }

    /// Ends a connection at once.
    pub fn abort(&mut self, connection: Connection, now: Instant) {
        if let Some(handle) = self.handle(connection) {
            self.sockets.get_mut::<Socket<'_>>(handle).abort();
            self.release(connection, now);
        }
    }

    /// Asks for an echo. Numbers of requests follow each other.
    ///
    /// # Errors
    ///
    /// If there is no way there.
    pub fn ping(&mut self, to: IpAddr, sequence: u16, now: Instant) -> Result<(), Error> {
        if !self.has_way(to) {
            return Err(Error::Unreachable);
        }
        let request = (to, sequence);
        let sent = self.ping.send(&self.interface, &mut self.sockets, request, now);
        sent.ok_or(Error::Unreachable)
    }

    /// The next echo that has come.
    pub fn pong(&mut self) -> Option<Pong> {
        self.ping.receive(&mut self.sockets)
    }

    /// What the host is called.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let own = self.interface.ip_addrs().iter();
        Addresses {
            own: own.map(|own| (own.address().into(), own.prefix_len())).collect(),
            gateway: self.gateway,
            gateway6: self.gateway6,
            dhcp_server: self.dhcp_server,
            name_servers: self.name_servers.clone(),
        }
    }

    /// How often what [`Self::addresses`] tells has changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let given_up: u64 = self.listeners.iter().map(|(_, listener)| listener.given_up).sum();
        let given_up = given_up + self.counters.given_up;
        Counters { given_up, ..self.counters }
    }

    /// What is going on at each port that is listened on.
    pub fn ports(&self) -> impl Iterator<Item = PortActivity> {
        self.listeners.iter().map(|(_, listener)| listener.activity(&self.sockets))
    }

    /// How many connections more could come on a port now.
    #[must_use]
    pub fn listening(&self, listener: ListenerId) -> usize {
        let listener = self.listeners.iter().find(|(id, _)| *id == listener);
        listener.map_or(0, |(_, listener)| listener.listening(&self.sockets))
    }

    /// Whether an address is on our network, or there is a router for it.
    fn has_way(&self, to: IpAddr) -> bool {
        // smoltcp asserts that nobody sends to `::`, whatever routers there are.
        if to.is_unspecified() {
            return false;
        }
        let has_router = match to {
            IpAddr::V4(_) => self.gateway.is_some(),
            IpAddr::V6(_) => self.gateway6.is_some(),
        };
        let address = to.into();
        let mut own = self.interface.ip_addrs().iter();
        has_router || to.is_multicast() || own.any(|own| own.contains_addr(&address))
    }

    fn handle(&self, connection: Connection) -> Option<SocketHandle> {
        self.listeners.iter().find_map(|(_, listener)| listener.find(connection))
    }

    fn release(&mut self, connection: Connection, now: Instant) {
        for (_, listener) in &mut self.listeners {
            listener.release(connection, now);
        }
    }

    fn wake(&mut self, now: Instant) -> Polled {
        let at = self.interface.poll_at(time(now), &self.sockets);
        let at = at.map(|at| Instant(u64::try_from(at.total_micros()).unwrap_or(0) * 1000));
        let listeners =
            self.listeners.iter().filter_map(|(_, listener)| listener.wake(&self.sockets));
        let first = at.into_iter().chain(listeners).chain(self.ping.wake()).min();
        Polled::Until(first.unwrap_or(Instant::NEVER))
    }

    /// A cable that is put in again may lead elsewhere.
    fn watch_link(&mut self, link: Link, now: Instant) {
        let before = core::mem::replace(&mut self.link, link);
        if let (Link::Down, Link::Up, Some(dhcp)) = (before, link, self.dhcp) {
            self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).reset();
            self.doubtful_since = self.interface.ipv4_addr().map(|_| now);
        }
    }

    fn watch_dhcp(&mut self, now: Instant) {
        let Some(dhcp) = self.dhcp else { return };
        let doubt = self.doubtful_since.map(|since| now.since(since));
        let event = match self.sockets.get_mut::<dhcpv4::Socket<'_>>(dhcp).poll() {
            None if doubt.is_some_and(|doubt| doubt >= DOUBT) => dhcpv4::Event::Deconfigured,
            // It was reset, which says nothing about the lease.
            Some(dhcpv4::Event::Deconfigured) if doubt.is_some_and(|doubt| doubt < DOUBT) => return,
            None => return,
            Some(event) => event,
        };
        self.doubtful_since = None;
        let (address, gateway) = match event {
            dhcpv4::Event::Configured(config) => {
                self.name_servers = config.dns_servers.iter().copied().collect();
                self.dhcp_server = Some(config.server.address);
                (Some(config.address), config.router)
            }
            // It says so at the beginning, too.
            dhcpv4::Event::Deconfigured if self.interface.ipv4_addr().is_none() => return,
            dhcpv4::Event::Deconfigured => {
                self.name_servers.clear();
                self.dhcp_server = None;
                (None, None)
            }
        };
        self.interface.update_ip_addrs(|own| {
            own.retain(|own| matches!(own, IpCidr::Ipv6(_)));
            if let Some(address) = address.filter(|address| is_of_host(address.address())) {
                // There is room for eight.
                let _ = own.push(IpCidr::Ipv4(address));
            }
        });
        self.set_gateway(gateway.filter(|gateway| is_of_host(*gateway)));
        self.changes += 1;
    }

    fn set_gateway(&mut self, gateway: Option<Ipv4Addr>) {
        self.gateway = gateway;
        let routes = self.interface.routes_mut();
        routes.remove_default_ipv4_route();
        if let Some(gateway) = gateway {
            // There is room for two routes: this one and that of IPv6.
            let _ = routes.add_default_ipv4_route(gateway);
        }
    }
}

/// The addresses that are known from the beginning.
fn addresses(config: &StackConfig, mac: MacAddr) -> Result<Vec<IpCidr>, Error> {
    let mut all = Vec::new();
    match config.ipv4 {
        Ipv4Config::Static { address, prefix, .. } => {
            if prefix > 32 || !is_of_host(address) {
                return Err(Error::Address);
            }
            all.push(IpCidr::Ipv4(Ipv4Cidr::new(address, prefix)));
        }
        Ipv4Config::Off | Ipv4Config::Dhcp => {}
    }
    if config.ipv6 != Ipv6Config::Off {
        all.push(IpCidr::Ipv6(Ipv6Cidr::new(mac.link_local(), 64)));
    }
    if let Ipv6Config::Static { address, prefix, .. } = config.ipv6 {
        if prefix > 128 || address.is_multicast() || address == Ipv6Addr::UNSPECIFIED {
            return Err(Error::Address);
        }
        all.push(IpCidr::Ipv6(Ipv6Cidr::new(address, prefix)));
    }
    Ok(all)
}

/// Whether one host can have the address. smoltcp would panic with others, and a DHCP server may say anything.
fn is_of_host(address: Ipv4Addr) -> bool {
    !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified()
}

fn polling<'a, C: Card>(card: &'a mut C, frames: &'a mut Frames, budget: usize) -> Polling<'a, C> {
    Polling { card, frames, received: 0, sent: 0, lost: 0, budget }
}

fn time(now: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(now.0 / 1000).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
