//! The host's own network: its card, a TCP/IP stack, and the ways of guests to the outside.
//!
//! The CPU of the services polls it when the card interrupts, when a guest has sent something that Roost has to move, when a
//! stack's time has come, and when somebody has sent something. Traffic and guests share that CPU: after a slice of time
//! ([`pace`]) the card's interrupts stay off and guests have theirs, as between any two slices of the host's work; so neither
//! starves the other.
//!
//! ```text
//!   loop of the service CPU:  Network::poll ─▶ whoever serves connections, by Network::stack ─▶ Network::send_off
//! ```
//!
//! Where the host's stack is depends on host.toml; guests reach it only on a network that `management.network` names:
//!
//! ```text
//!   card ─┬─ host's stack                      card ── network (bridged) ─┬─ host's stack
//!         ├─ NAT ── network (nat) ── guests                               ├─ NAT ── network (nat) ── guests
//!         └─ network (bridged) ── guests                                  └─ guests
//! ```
//!
//! On each network of the kinds nat and host-only Roost has a port ([`gateway`]) with a small stack of its own, which answers
//! ARP and echoes and has no TCP port at all.

mod card;
mod echo;
mod gateway;
mod layout;
mod pace;
mod report;
mod wire;

use crate::networks;
use crate::plugs::{self, Random};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use card::HostCard;
use core::net::IpAddr;
use core::time::Duration;
pub(crate) use echo::Echo;
use echo::Echoes;
use hv_core::device::Notice;
use hv_core::host;
use hv_core::network::CardDriver;
use hv_core::time::Instant;
use net::login::Network as Forbidden;
use net::nat::Redirect;
use net::stack::{Addresses, Card, Link, Polled, Stack};
use net::uplink::{Outside, Outward, Router};
use pace::{CHUNK, Pace, Verdict};
use vm_manager::host_config::{Addressing, HostConfig, Management, Prefix};
use vm_manager::sink::Bell;
use wire::{GatewayPort, HostPort, Moved, Seat, Wire};

/// How often a card that does not interrupt is asked.
const POLLING: Duration = Duration::from_millis(1);
/// The port of name servers.
const DNS: u16 = 53;

/// How long guests have the CPU after the network's slice.
const QUIET: Duration = Duration::from_millis(1);

/// Who else wants the CPU of the services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Company {
    /// Guests.
    Guests,
    /// Nobody.
    None,
}

/// The host's network.
pub(crate) struct Network {
    wire: Wire,
    /// The host's stack, if it has somewhere to be.
    stack: Option<Stack>,
    /// Those of the gateways, in their order; none where the host's own stack is.
    gateway_stacks: Vec<Option<Stack>>,
    /// The network that is bridged to the card, and the addresses that its guests may not have.
    bridged: Option<Arc<networks::Network>>,
    reserved: Vec<IpAddr>,
    pace: Pace,
    /// How often addresses had changed when they were last told.
    told: Option<u64>,
    /// How often guests had their turn though there was more to do.
    deferrals: u64,
    company: Company,
    /// Until then nothing is done, if guests want the CPU.
    quiet_until: Instant,
    /// Whether something waits to be sent.
    is_touched: bool,
    /// Cards beyond the first, which nobody uses.
    spare: Vec<HostCard>,
    /// Why there is no stack, if there is none.
    note: Option<String>,
    config: Management,
    echoes: Echoes,
}

impl Network {
    /// The host's network on the first of these cards, and what the operator should know. The networks of guests are there.
    /// `bell` has it polled.
    pub(crate) fn new(
        cards: Vec<CardDriver>,
        config: &HostConfig,
        bell: &Arc<dyn Bell>,
    ) -> (Self, Vec<String>) {
        let [bits, seed, ..] = plugs::seed();
        let mut cards = cards.into_iter().zip(0..).map(|(driver, index)| {
            let card = HostCard::new(driver, bits.wrapping_add(index));
            log::info!("network card {} at {}", card.mac(), card.info().place);
            card
        });
        let card = cards.next();
        let spare = cards.collect();
        let mut notes = Vec::new();
        let gateways = layout::gateways(seed, bell, &mut notes);
        let (bridged, bridge) = layout::bridge(card.as_ref(), bell, &mut notes).unzip();
        let seat = layout::seat(&config.management, &gateways, card.as_ref(), bell);
        let (seat, has_seat) = match seat {
            Ok(seat) => (seat, true),
            Err(why) => {
                notes.push(why);
                (Seat::Card, false)
            }
        };
        let forbidden = gateways.iter().map(|gateway| {
            let Prefix { address, bits } = gateway.subnet();
            Forbidden::new(IpAddr::V4(address), bits)
        });
        let router = Router::new(forbidden.collect());
        if let Seat::Gateway(index) = seat {
            notes.extend(layout::without_outside(&gateways, index));
        }
        let mut wire =
            Wire { card, bridge, seat, gateways, router, random: Random::new(), has_more: false };
        let is_possible = has_seat && (wire.card.is_some() || !matches!(wire.seat, Seat::Card));
        let stack = is_possible.then(|| layout::host_stack(&mut wire, &config.management, seed));
        let (stack, note) = match stack.transpose() {
            Ok(Some(stack)) => (Some(stack), None),
            Ok(None) => (None, Some(NO_CARD.to_string())),
            Err(why) => {
                let note = format!("the host has no network: {why}");
                notes.push(note.clone());
                (None, Some(note))
            }
        };
        let gateway_stacks = layout::gateway_stacks(&mut wire, seed);
        let network = Self {
            wire,
            stack,
            gateway_stacks,
            bridged,
            reserved: Vec::new(),
            pace: Pace::default(),
            told: None,
            deferrals: 0,
            company: Company::None,
            quiet_until: Instant(0),
            is_touched: false,
            spare,
            note,
            config: config.management.clone(),
            echoes: Echoes::default(),
        };
        for note in &notes {
            log::warn!("{note}");
        }
        (network, notes)
    }

    /// Who else wants the CPU, from now on.
    pub(crate) fn set_company(&mut self, company: Company) {
        self.company = company;
    }

    /// A slice of work; when the next is wanted.
    pub(crate) fn poll(&mut self) -> Instant {
        if self.company == Company::Guests && host::now() < self.quiet_until {
            return self.quiet_until;
        }
        self.is_touched = false;
        let link = self.wire.card.as_mut().and_then(HostCard::begin);
        if let Some(link) = link {
            log::warn!("network link {}", if link == Link::Up { "up" } else { "down" });
        }
        let mut start = host::now();
        loop {
            let polled = self.move_some(start);
            if let Some(card) = &mut self.wire.card {
                card.start();
            }
            self.hear();
            let end = host::now();
            let verdict = self.pace.note(start, end);
            start = end;
            match (polled, verdict) {
                (Polled::More, Verdict::GoOn) => {}
                (Polled::Until(at), Verdict::GoOn) => return self.rest(Instant(at.0), end),
                // Interrupts stay off, and nothing is taken from guests: they have their time first.
                (Polled::More | Polled::Until(_), Verdict::Enough) => {
                    self.deferrals += u64::from(polled == Polled::More);
                    self.quiet_until = end + QUIET;
                    return end;
                }
            }
        }
    }

    /// Moves some frames everywhere.
    fn move_some(&mut self, now: Instant) -> Polled {
        let mut polled = Polled::Until(net::time::Instant::NEVER);
        if let Some(stack) = &mut self.stack {
            polled = both(polled, stack.poll(&mut HostPort(&mut self.wire), CHUNK, time(now)));
        }
        for (stack, index) in self.gateway_stacks.iter_mut().zip(0..) {
            let Some(stack) = stack else { continue };
            let port = &mut GatewayPort(&mut self.wire, index);
            polled = both(polled, stack.poll(port, CHUNK, time(now)));
        }
        let pumped = match self.wire.pump(CHUNK) {
            Moved::All => polled,
            Moved::Some => Polled::More,
            Moved::Full => both(polled, Polled::Until(time(now + POLLING))),
        };
        if core::mem::take(&mut self.wire.has_more) { Polled::More } else { pumped }
    }

    /// Takes what has come for the host itself.
    fn hear(&mut self) {
        self.wire.router.tend(time(host::now()));
        let Some(stack) = &mut self.stack else { return };
        while let Some(pong) = stack.pong() {
            self.echoes.answered(&pong, host::now());
        }
        let changes = stack.changes();
        if self.told != Some(changes) {
            let addresses = stack.addresses();
            tell(&addresses, self.told.is_some());
            self.told = Some(changes);
            self.route(&addresses);
        }
    }

    /// Tells the router how the host is reached.
    fn route(&mut self, addresses: &Addresses) {
        let own = addresses.own.iter().find_map(|(own, prefix)| match own {
            IpAddr::V4(address) => Some((*address, *prefix)),
            IpAddr::V6(_) => None,
        });
        let mac = HostPort(&mut self.wire).mac();
        let is_outside = !matches!(self.wire.seat, Seat::Gateway(_));
        if let Some(bridged) = &self.bridged {
            let own = addresses.own.iter().map(|(own, _)| *own);
            // Who says that he is the router gets what everybody sends elsewhere.
            let routers = [addresses.gateway.map(IpAddr::V4), addresses.gateway6.map(IpAddr::V6)];
            let now: Vec<IpAddr> = own.chain(routers.into_iter().flatten()).collect();
            bridged.reserve(&now, &self.reserved);
            self.reserved = now;
        }
        let outside = own.filter(|_| is_outside).map(|(address, prefix)| {
            let gateway = addresses.gateway;
            Outside { mac, address, prefix, gateway }
        });
        self.wire.router.set_outside(outside);
        let told = addresses.name_servers.first().copied();
        let redirects = self.wire.gateways.iter().filter_map(|gateway| {
            let config = gateway.gate.config();
            let server = gateway.network.config().dns.or(told)?;
            let is_routed = config.outward == Outward::Routed;
            is_routed.then_some(Redirect { from: (config.address, DNS), to: (server, DNS) })
        });
        let redirects = redirects.collect();
        self.wire.router.set_redirects(redirects);
    }

    /// Waits for the card's interrupt, or until then.
    fn rest(&mut self, until: Instant, now: Instant) -> Instant {
        let uses_card = self.wire.uses_card();
        let Some(card) = self.wire.card.as_mut().filter(|_| uses_card) else { return until };
        // What a stack still wants at once waits for room in the card, which never tells of that.
        let until = if until <= now { now + POLLING } else { until };
        match (card.notice(), card.rest()) {
            (_, false) => now,
            (Notice::Interrupt, true) => until,
            (Notice::Polling, true) => until.min(now + POLLING),
        }
    }

    /// The stack, for its connections. Whoever sends something says so by [`Self::touch`].
    pub(crate) fn stack(&mut self) -> Option<&mut Stack> {
        self.stack.as_mut()
    }

    /// Something waits to be sent: it leaves with the next [`Self::send_off`].
    pub(crate) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// As [`Self::poll`], if something waits to be sent; else nothing is wanted.
    pub(crate) fn send_off(&mut self) -> Instant {
        if !self.is_touched {
            return Instant::NEVER;
        }
        let before = self.received();
        let next = self.poll();
        // What came by the way is for those who have had their turn: they want another, of which nothing else would tell.
        if self.received() == before { next } else { host::now() }
    }

    /// Frames that have come for the host's own connections.
    fn received(&self) -> u64 {
        self.stack.as_ref().map_or(0, |stack| stack.counters().received)
    }

    /// Asks for an echo; the number of the request.
    ///
    /// # Errors
    ///
    /// Why it cannot be sent.
    pub(crate) fn ping(&mut self, to: IpAddr) -> Result<u16, String> {
        let Some(stack) = &mut self.stack else {
            return Err(self.note.clone().unwrap_or_else(|| NO_CARD.into()));
        };
        if HostPort(&mut self.wire).link() == Link::Down {
            return Err("the network link is down: the cable is out".into());
        }
        let own = stack.addresses().own;
        if !own.iter().any(|(own, _)| own.is_ipv4() == to.is_ipv4()) {
            return Err(no_address(to, &self.config));
        }
        // There is nobody on the wire who should answer.
        if to.is_loopback() || own.iter().any(|(own, _)| *own == to) {
            return Err(format!("{to} is the host's own address"));
        }
        let now = host::now();
        let sequence = self.echoes.begin(to, now);
        stack
            .ping(to, sequence, time(now))
            .map_err(|_| format!("{to} cannot be reached: there is no route to it"))?;
        self.is_touched = true;
        Ok(sequence)
    }

    /// What became of a request for an echo.
    pub(crate) fn echo(&self, sequence: u16) -> Echo {
        self.echoes.state(sequence)
    }
}

/// What there is to say of a host without a card.
const NO_CARD: &str = "the host has no network card";

fn both(one: Polled, other: Polled) -> Polled {
    match (one, other) {
        (Polled::Until(one), Polled::Until(other)) => Polled::Until(one.min(other)),
        (Polled::More, _) | (_, Polled::More) => Polled::More,
    }
}

/// Notes what addresses the host has.
fn tell(addresses: &Addresses, had_before: bool) {
    let ipv4: Vec<_> = addresses.own.iter().filter(|(address, _)| address.is_ipv4()).collect();
    for (address, prefix) in &ipv4 {
        log::info!("network address {address}/{prefix}");
    }
    if ipv4.is_empty() && had_before {
        log::warn!("the network address is lost: no DHCP server answers");
    }
}

/// Why the host cannot send to an address of that kind.
fn no_address(to: IpAddr, config: &Management) -> String {
    match to {
        IpAddr::V4(_) => match config.ipv4 {
            Addressing::Off => "the host has no address of IPv4: it is off in host.toml".into(),
            Addressing::Automatic => {
                "the host has no address of IPv4 yet: no DHCP server has answered".into()
            }
            Addressing::Static(_) => "the host has no address of IPv4".into(),
        },
        IpAddr::V6(_) => "the host has no address of IPv6: it is off in host.toml".into(),
    }
}

fn time(now: Instant) -> net::time::Instant {
    net::time::Instant(now.0)
}
