//! MAC addresses (IEEE 802).

use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

/// A 48-bit address.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The address of all stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it is the address of one station.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// Whether it is of the protocols between neighbouring switches, which are never forwarded (IEEE 802.1D, table 7-10).
    #[must_use]
    pub fn is_link_local(self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        [a, b, c, d, e] == [0x01, 0x80, 0xc2, 0, 0] && f < 0x10
    }

    /// The link-local address that it gives (RFC 4291, appendix A).
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let pair = |high, low| u16::from_be_bytes([high, low]);
        Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not a MAC address: six pairs of hexadecimal digits, with colons between them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotMac;

impl FromStr for MacAddr {
    type Err = NotMac;
    fn from_str(text: &str) -> Result<Self, NotMac> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            *byte = u8::from_str_radix(part.ok_or(NotMac)?, 16).map_err(|_| NotMac)?;
        }
        if parts.next().is_some() { Err(NotMac) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        let mac = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0xff]);
        assert_eq!(mac.to_string(), "52:54:00:12:34:ff");
        assert_eq!("52:54:00:12:34:FF".parse(), Ok(mac));
        for wrong in
            ["", "52:54:00:12:34", "52:54:00:12:34:ff:00", "5:54:00:12:34:ff", "+5:54:00:12:34:ff"]
        {
            assert_eq!(wrong.parse::<MacAddr>(), Err(NotMac), "{wrong}");
        }
    }
}
