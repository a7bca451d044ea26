//! The host's own network: its card, and a TCP/IP stack on it.
//!
//! The CPU of the services polls it when the card interrupts, when the stack's time has come, and when somebody has sent
//! something. Traffic and guests share that CPU: after a slice of time ([`pace`]) the card's interrupts stay off
//! and guests have theirs, as between any two slices of the host's work; so neither starves the other.
//!
//! ```text
//!   loop of the service CPU:  Network::poll ─▶ whoever serves connections, by Network::stack ─▶ Network::send_off
//! ```

mod card;
mod echo;
mod pace;
mod report;

use crate::plugs;
use alloc::format;
use alloc::string::String;
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
use net::stack::{
    Addresses, Card, Error, Ipv4Config, Ipv6Config, Link, Polled, Stack, StackConfig,
};
use pace::{CHUNK, Pace, Verdict};
use vm_manager::host_config::{Addressing, Management, Prefix};

/// How often a card that does not interrupt is asked.
const POLLING: Duration = Duration::from_millis(1);

/// The host's network.
pub(crate) struct Network {
    own: Option<Own>,
    /// Cards beyond the first, which nobody uses.
    spare: Vec<HostCard>,
    /// Why there is none, if there is none.
    note: Option<String>,
    config: Management,
    echoes: Echoes,
}

/// A card and the stack on it.
struct Own {
    card: HostCard,
    stack: Stack,
    pace: Pace,
    /// How often addresses had changed when they were last told.
    told: u64,
    /// How often guests had their turn though there was more to do.
    deferrals: u64,
    /// Whether something waits to be sent.
    is_touched: bool,
}

impl Network {
    /// The host's network on the first of these cards, and what the operator should know.
    pub(crate) fn new(cards: Vec<CardDriver>, config: &Management) -> (Self, Vec<String>) {
        let [bits, seed, ..] = plugs::seed();
        let mut cards = cards.into_iter().zip(0..).map(|(driver, index)| {
            let card = HostCard::new(driver, bits.wrapping_add(index));
            log::info!("network card {} at {}", card.mac(), card.info().place);
            card
        });
        let own = cards.next().map(|card| Own::new(card, config, seed));
        let (own, note) = match own.transpose() {
            Ok(own) => (own, None),
            Err(why) => (None, Some(format!("the host has no network: {why}"))),
        };
        let spare = cards.collect();
        let notes = Vec::from_iter(note.clone());
        let config = config.clone();
        (Self { own, spare, note, config, echoes: Echoes::default() }, notes)
    }

    /// A slice of work; when the next is wanted.
    pub(crate) fn poll(&mut self) -> Instant {
        let Some(own) = &mut self.own else { return Instant::NEVER };
        let next = own.poll();
        while let Some(pong) = own.stack.pong() {
            self.echoes.answered(&pong, host::now());
        }
        next
    }

    /// The stack, for its connections. Whoever sends something says so by [`Self::touch`].
    pub(crate) fn stack(&mut self) -> Option<&mut Stack> {
        self.own.as_mut().map(|own| &mut own.stack)
    }

    /// Something waits to be sent: it leaves with the next [`Self::send_off`].
    pub(crate) fn touch(&mut self) {
        if let Some(own) = &mut self.own {
            own.is_touched = true;
        }
    }

    /// As [`Self::poll`], if something waits to be sent; else nothing is wanted.
    pub(crate) fn send_off(&mut self) -> Instant {
        let is_touched = self.own.as_ref().is_some_and(|own| own.is_touched);
        if is_touched { self.poll() } else { Instant::NEVER }
    }

    /// Asks for an echo; the number of the request.
    ///
    /// # Errors
    ///
    /// Why it cannot be sent.
    pub(crate) fn ping(&mut self, to: IpAddr) -> Result<u16, String> {
        let Some(own) = &mut self.own else {
            return Err(self.note.clone().unwrap_or_else(|| NO_CARD.into()));
        };
        if own.card.link() == Link::Down {
            return Err("the network link is down: the cable is out".into());
        }
        let has_address =
            |own: &Addresses| own.own.iter().any(|(own, _)| own.is_ipv4() == to.is_ipv4());
        if !has_address(&own.stack.addresses()) {
            return Err(no_address(to, &self.config));
        }
        let now = host::now();
        let sequence = self.echoes.begin(to, now);
        own.stack.ping(to, sequence, time(now)).map_err(|_| {
            format!("{to} cannot be reached: there is no route to it, or too many requests wait")
        })?;
        own.is_touched = true;
        Ok(sequence)
    }

    /// What became of a request for an echo.
    pub(crate) fn echo(&self, sequence: u16) -> Echo {
        self.echoes.state(sequence)
    }
}

/// What there is to say of a host without a card.
const NO_CARD: &str = "the host has no network card";

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

impl Own {
    fn new(mut card: HostCard, config: &Management, seed: u64) -> Result<Self, &'static str> {
        let config = StackConfig { ipv4: ipv4(config), ipv6: ipv6(config) };
        let stack = Stack::new(&config, &mut card, seed, time(host::now())).map_err(words)?;
        let told = stack.changes();
        Ok(Self { card, stack, pace: Pace::default(), told, deferrals: 0, is_touched: false })
    }

    fn poll(&mut self) -> Instant {
        self.is_touched = false;
        if let Some(link) = self.card.begin() {
            log::warn!("network link {}", if link == Link::Up { "up" } else { "down" });
        }
        let mut start = host::now();
        loop {
            let polled = self.stack.poll(&mut self.card, CHUNK, time(start));
            self.card.start();
            let end = host::now();
            let verdict = self.pace.note(start, end);
            start = end;
            match (polled, verdict) {
                (Polled::More, Verdict::GoOn) => {}
                // Interrupts stay off: guests have their time first.
                (Polled::More | Polled::Until(_), Verdict::Enough) => {
                    self.deferrals += 1;
                    self.tell();
                    return end;
                }
                (Polled::Until(at), Verdict::GoOn) => {
                    self.tell();
                    return self.rest(Instant(at.0), end);
                }
            }
        }
    }

    /// Waits for the card's interrupt, or until then.
    fn rest(&mut self, until: Instant, now: Instant) -> Instant {
        match (self.card.notice(), self.card.rest()) {
            (_, false) => now,
            (Notice::Interrupt, true) => until,
            (Notice::Polling, true) => until.min(now + POLLING),
        }
    }

    /// Notes what addresses the host has, if they have changed.
    fn tell(&mut self) {
        let changes = self.stack.changes();
        if core::mem::replace(&mut self.told, changes) == changes {
            return;
        }
        let mut is_any = false;
        for (address, prefix) in self.stack.addresses().own {
            if address.is_ipv4() {
                is_any = true;
                log::info!("network address {address}/{prefix}");
            }
        }
        if !is_any {
            log::warn!("the network address is lost: no DHCP server answers");
        }
    }
}

fn ipv4(config: &Management) -> Ipv4Config {
    match config.ipv4 {
        Addressing::Off => Ipv4Config::Off,
        Addressing::Automatic => Ipv4Config::Dhcp,
        Addressing::Static(Prefix { address, bits }) => {
            Ipv4Config::Static { address, prefix: bits, gateway: config.gateway }
        }
    }
}

fn ipv6(config: &Management) -> Ipv6Config {
    match config.ipv6 {
        Addressing::Off => Ipv6Config::Off,
        Addressing::Automatic => Ipv6Config::LinkLocal,
        Addressing::Static(Prefix { address, bits }) => {
            Ipv6Config::Static { address, prefix: bits, gateway: config.gateway6 }
        }
    }
}

fn words(error: Error) -> &'static str {
    match error {
        Error::NotUnicast => "the card's address is not that of one card",
        Error::Address => "no host can have the address that is configured",
        Error::Port => "the port cannot be had",
        Error::Unreachable => "it cannot be reached",
    }
}

fn time(now: Instant) -> net::time::Instant {
    net::time::Instant(now.0)
}
