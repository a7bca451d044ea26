//! How the host is reached.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// Addresses of the host.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Of IPv4.
    pub ipv4: Ipv4Config,
    /// Of IPv6.
    pub ipv6: Ipv6Config,
}

/// Where the address of IPv4 comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv4Config {
    /// There is none.
    Off,
    /// A DHCP server gives it (RFC 2131).
    Dhcp,
    /// It is this one.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// The leading bits that it has in common with its network.
        prefix: u8,
        /// The router to all others.
        gateway: Option<Ipv4Addr>,
    },
}

/// Where the addresses of IPv6 come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv6Config {
    /// There are none.
    Off,
    /// There is the link-local one only (RFC 4291).
    LinkLocal,
    /// There is this one as well.
    Static {
        /// The address.
        address: Ipv6Addr,
        /// The leading bits that it has in common with its network.
        prefix: u8,
        /// The router to all others.
        gateway: Option<Ipv6Addr>,
    },
}

/// What a listener has.
#[derive(Clone, Copy, Debug)]
pub struct ListenConfig {
    /// Connections at once, with those that are being opened or closed.
    pub connections: usize,
    /// Bytes of each that have come and are not read yet.
    pub receive_bytes: usize,
    /// Bytes of each that are to be sent.
    pub send_bytes: usize,
    /// After this time without an answer a peer is gone (RFC 9293, 3.8.3). It is asked for one three times as often.
    pub timeout: Duration,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            connections: 24,
            receive_bytes: 2 << 10,
            send_bytes: 8 << 10,
            timeout: Duration::from_secs(60),
        }
    }
}
