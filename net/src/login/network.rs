//! Networks that connections may come from.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// Addresses with a common beginning: `10.0.0.0/8`, `fe80::/10`, `192.168.1.7`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Not a network: an address, maybe with `/` and the number of its leading bits, after which all are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotNetwork;

impl Network {
    /// The addresses that have the first `bits` bits in common with this one.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Self {
        match address {
            IpAddr::V4(address) => {
                let bits = bits.min(32);
                let address = Ipv4Addr::from_bits(address.to_bits() & mask4(bits));
                Self { address: IpAddr::V4(address), bits }
            }
            IpAddr::V6(address) => {
                let bits = bits.min(128);
                let address = Ipv6Addr::from_bits(address.to_bits() & mask6(bits));
                Self { address: IpAddr::V6(address), bits }
            }
        }
    }

    /// Whether the address is in it. An IPv4 address within IPv6 (`::ffff:10.0.0.1`) is that IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                net.to_bits() == address.to_bits() & mask4(self.bits)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                net.to_bits() == address.to_bits() & mask6(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// The part of the address that one attacker is taken to have: it itself, or a /64 of IPv6.
    #[must_use]
    pub(super) fn of_one(address: IpAddr) -> Self {
        match address.to_canonical() {
            address @ IpAddr::V4(_) => Self { address, bits: 32 },
            IpAddr::V6(address) => {
                let prefix = Ipv6Addr::from_bits(address.to_bits() & mask6(64));
                Self { address: IpAddr::V6(prefix), bits: 64 }
            }
        }
    }
}

impl FromStr for Network {
    type Err = NotNetwork;
    fn from_str(text: &str) -> Result<Self, NotNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) => {
                let bits = Some(bits).filter(is_number).and_then(|bits| bits.parse().ok());
                bits.filter(|bits| *bits <= most).ok_or(NotNetwork)?
            }
        };
        let network = Self { address, bits };
        // Bits after the prefix are a slip: which network is meant?
        if network.contains(address) { Ok(network) } else { Err(NotNetwork) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// An allow-list. Without any network in it all are allowed.
#[derive(Clone, Debug, Default)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether a connection may come from there.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.contains(address))
    }
}

fn mask4(bits: u8) -> u32 {
    Ipv4Addr::BROADCAST.to_bits().checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

fn mask6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let network = |text: &str| text.parse::<Network>().unwrap();
        let has = |net: &str, address: &str| network(net).contains(address.parse().unwrap());
        assert!(has("10.0.0.0/8", "10.255.1.2") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.0.0.0/8", "::ffff:10.1.1.1") && !has("10.0.0.0/8", "::a00:1"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
        assert!(
            has("::/0", "fe80::1") && has("fe80::/10", "febf::1") && !has("fe80::/10", "fec0::")
        );
        assert!(has("192.168.1.7", "192.168.1.7") && !has("192.168.1.7", "192.168.1.6"));
        assert_eq!(network("fe80::/10").to_string(), "fe80::/10");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "x/8",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotNetwork), "{text}");
        }
    }

    #[test]
    fn an_empty_list_allows_all() {
        let address = "10.0.0.1".parse().unwrap();
        assert!(Networks::default().allow(address));
        assert!(!Networks(vec!["10.0.0.2".parse().unwrap()]).allow(address));
    }
}
