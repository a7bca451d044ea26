//! The host's own network.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// Whether a cable is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It is.
    Up,
    /// It is not.
    Down,
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressOrigin {
    /// There shall be none.
    Off,
    /// From a DHCP server.
    Dhcp,
    /// From the host's configuration.
    Static,
    /// From the card's own address.
    LinkLocal,
}

/// What the host's stack is connected to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PortSummary {
    /// A card's place, such as `virtio-mmio 0xa003e00`, or a network of guests, such as `network 'lan'`.
    pub place: String,
    /// Its address.
    pub mac: String,
    /// Whether its cable is in.
    pub link: LinkState,
    /// Whether it interrupts; else it is asked.
    pub interrupts: bool,
}

/// Addresses of IPv4 or IPv6.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AddressSummary {
    /// Where they come from.
    pub origin: AddressOrigin,
    /// Those that there are, such as `10.0.2.15/24`.
    pub addresses: Vec<String>,
    /// The router to others.
    pub gateway: Option<String>,
    /// The DHCP server.
    pub server: Option<String>,
    /// Name servers that DHCP has told of.
    pub name_servers: Vec<String>,
}

/// The host's network.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NetworkSummary {
    /// What it is connected to, if it is.
    pub port: Option<PortSummary>,
    /// Why not.
    pub note: Option<String>,
    /// Cards that nobody uses.
    pub spare_cards: Vec<String>,
    /// With IPv4.
    pub ipv4: AddressSummary,
    /// With IPv6.
    pub ipv6: AddressSummary,
}

/// A TCP port of the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct TcpPortSummary {
    /// Its number.
    pub port: u16,
    /// Connections that there are.
    pub connections: u32,
    /// Of which half open, or closed by one side.
    pub incomplete: u32,
    /// Connections that there can be.
    pub limit: u32,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were given up before that, or before the peer had received all.
    pub given_up: u64,
}

/// Translation of guests' packets to the host's address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NatSummary {
    /// Connections that are kept.
    pub connections: u64,
    /// Packets that went out.
    pub outbound: u64,
    /// Packets that came in.
    pub inbound: u64,
    /// Packets that went nowhere.
    pub refused: u64,
}

/// What the host's network has counted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NetworkStatistics {
    /// Frames that came.
    pub received_frames: u64,
    /// Bytes of them.
    pub received_bytes: u64,
    /// Frames that came and were of no use.
    pub received_unfit: u64,
    /// Frames that were sent.
    pub sent_frames: u64,
    /// Bytes of them.
    pub sent_bytes: u64,
    /// Frames that were to be sent when there was no room.
    pub sent_dropped: u64,
    /// How often guests had their turn though there was more to do.
    pub deferrals: u64,
    /// Translation for networks of kind nat.
    pub nat: NatSummary,
    /// TCP ports.
    pub tcp: Vec<TcpPortSummary>,
}

/// A request for an echo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EchoId(pub u64);
