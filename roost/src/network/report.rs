//! What the shell tells of the host's network.

use super::Network;
use super::card::HostCard;
use super::wire::Seat;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use hv_core::device::Notice;
use net::nat::Refusal;
use net::stack::{Addresses, Card, Link, PortActivity, Stack};
use net::switch::MacAddr;
use shell::host::{
    AddressOrigin, AddressSummary, LinkState, NatSummary, NetworkStatistics, NetworkSummary,
    PortSummary, TcpPortSummary,
};
use vm_manager::host_config::Addressing;

impl Network {
    /// What the host is connected to, and its addresses.
    pub(crate) fn summary(&self) -> NetworkSummary {
        let addresses = self.stack.as_ref().map(Stack::addresses).unwrap_or_default();
        let Addresses { gateway, gateway6, dhcp_server, name_servers, .. } = &addresses;
        let place = |card: &HostCard| format!("{} at {}", card.mac(), card.info().place);
        NetworkSummary {
            port: self.stack.as_ref().and_then(|_| self.port()),
            note: self.note.clone(),
            spare_cards: self.spare.iter().map(place).collect(),
            ipv4: AddressSummary {
                origin: origin(self.config.ipv4, AddressOrigin::Dhcp),
                addresses: of_kind(&addresses, IpAddr::is_ipv4),
                gateway: gateway.map(|gateway| gateway.to_string()),
                server: dhcp_server.map(|server| server.to_string()),
                name_servers: name_servers.iter().map(ToString::to_string).collect(),
            },
            ipv6: AddressSummary {
                origin: origin(self.config.ipv6, AddressOrigin::LinkLocal),
                addresses: of_kind(&addresses, IpAddr::is_ipv6),
                gateway: gateway6.map(|gateway| gateway.to_string()),
                server: None,
                name_servers: Vec::new(),
            },
        }
    }

    /// What was counted.
    pub(crate) fn statistics(&self) -> NetworkStatistics {
        let card = self.wire.card.as_ref().map(HostCard::counters).unwrap_or_default();
        let nat = self.wire.router.counters();
        let refused: u64 = Refusal::ALL.into_iter().map(|why| nat.refused(why)).sum();
        NetworkStatistics {
            received_frames: card.received,
            received_bytes: card.received_bytes,
            received_unfit: card.unfit,
            sent_frames: card.sent,
            sent_bytes: card.sent_bytes,
            sent_dropped: card.full,
            deferrals: self.deferrals,
            nat: NatSummary {
                connections: self.wire.router.connections() as u64,
                outbound: nat.outbound,
                inbound: nat.inbound,
                refused,
            },
            tcp: self.stack.iter().flat_map(Stack::ports).map(tcp).collect(),
        }
    }

    /// What the host's stack is connected to.
    fn port(&self) -> Option<PortSummary> {
        let summary = |place: String, mac: MacAddr, card: Option<&HostCard>| PortSummary {
            place,
            mac: mac.to_string(),
            link: match card.map(Card::link) {
                Some(Link::Up) | None => LinkState::Up,
                Some(Link::Down) => LinkState::Down,
            },
            interrupts: card.is_none_or(|card| card.notice() == Notice::Interrupt),
        };
        let on = |name: &str| format!("network '{name}'");
        let card = self.wire.card.as_ref();
        match &self.wire.seat {
            Seat::Card => {
                card.map(|own| summary(own.info().place.to_string(), own.mac(), Some(own)))
            }
            Seat::Port(_, mac) => {
                let name = self.config.network.as_deref().unwrap_or_default();
                Some(summary(on(name), *mac, card))
            }
            Seat::Gateway(index) => {
                let gateway = self.wire.gateways.get(*index)?;
                let name = &gateway.network.config().name;
                Some(summary(on(name), gateway.gate.config().mac, None))
            }
        }
    }
}

fn origin<A>(addressing: Addressing<A>, automatic: AddressOrigin) -> AddressOrigin {
    match addressing {
        Addressing::Off => AddressOrigin::Off,
        Addressing::Automatic => automatic,
        Addressing::Static(_) => AddressOrigin::Static,
    }
}

fn of_kind(addresses: &Addresses, is_wanted: impl Fn(&IpAddr) -> bool) -> Vec<String> {
    let wanted = addresses.own.iter().filter(|(own, _)| is_wanted(own));
    wanted.map(|(own, prefix)| format!("{own}/{prefix}")).collect()
}

fn tcp(activity: PortActivity) -> TcpPortSummary {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    TcpPortSummary {
        port: activity.port,
        connections: count(activity.connections),
        incomplete: count(activity.incomplete),
        limit: count(activity.limit),
        accepted: activity.accepted,
        given_up: activity.given_up,
    }
}
