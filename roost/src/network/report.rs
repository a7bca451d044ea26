//! What the shell tells of the host's network.

use super::card::HostCard;
use super::{NO_CARD, Network};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;
use hv_core::device::Notice;
use net::stack::{Addresses, Card, Link, PortActivity};
use shell::host::{
    AddressOrigin, AddressSummary, LinkState, NetworkStatistics, NetworkSummary, PortSummary,
    TcpPortSummary,
};
use vm_manager::host_config::Addressing;

impl Network {
    /// What the host is connected to, and its addresses.
    pub(crate) fn summary(&self) -> NetworkSummary {
        let addresses = self.own.as_ref().map(|own| own.stack.addresses()).unwrap_or_default();
        let Addresses { gateway, gateway6, dhcp_server, name_servers, .. } = &addresses;
        let note = match (&self.own, &self.note) {
            (Some(_), _) => None,
            (None, Some(note)) => Some(note.clone()),
            (None, None) => Some(NO_CARD.to_string()),
        };
        let place = |card: &HostCard| format!("{} at {}", card.mac(), card.info().place);
        NetworkSummary {
            port: self.own.as_ref().map(|own| port(&own.card)),
            note,
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
        let Some(own) = &self.own else { return NetworkStatistics::default() };
        let card = own.card.counters();
        NetworkStatistics {
            received_frames: card.received,
            received_bytes: card.received_bytes,
            received_unfit: card.unfit,
            sent_frames: card.sent,
            sent_bytes: card.sent_bytes,
            sent_dropped: card.full,
            deferrals: own.deferrals,
            tcp: own.stack.ports().map(tcp).collect(),
        }
    }
}

fn port(card: &HostCard) -> PortSummary {
    let info = card.info();
    PortSummary {
        place: info.place.to_string(),
        mac: card.mac().to_string(),
        link: match card.link() {
            Link::Up => LinkState::Up,
            Link::Down => LinkState::Down,
        },
        interrupts: info.notice == Notice::Interrupt,
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
