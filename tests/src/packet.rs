//! Frames made by hand, with sums that are right unless a test spoils them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A station's address.
pub type Mac = [u8; 6];

/// All stations.
pub const BROADCAST: Mac = [0xff; 6];

const IPV4: [u8; 2] = [8, 0];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP: [u8; 2] = [8, 6];
/// The flag of a segment that begins a connection (RFC 9293, 3.1).
pub const SYN: u8 = 2;
/// The flag of one that acknowledges.
pub const ACK: u8 = 16;

/// Who sends, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The sender's station and address.
    pub from: (Mac, Ipv4Addr),
    /// The receiver's.
    pub to: (Mac, Ipv4Addr),
}

impl Ends {
    /// A packet of IPv4 (RFC 791) with these contents; the sums of ICMP, TCP and UDP are put where they belong.
    #[must_use]
    pub fn packet(&self, protocol: u8, contents: &[u8]) -> Vec<u8> {
        let (source, destination) = (self.from.1.octets(), self.to.1.octets());
        let mut contents = contents.to_vec();
        let length = u16::try_from(contents.len()).unwrap_or(u16::MAX).to_be_bytes();
        let pseudo = [&source[..], &destination, &[0, protocol], &length].concat();
        match protocol {
            1 => put_sum(&mut contents, 2, &[]),
            6 => put_sum(&mut contents, 16, &pseudo),
            17 => put_sum(&mut contents, 6, &pseudo),
            _ => {}
        }
        let total = u16::try_from(contents.len() + 20).unwrap_or(u16::MAX).to_be_bytes();
        let mut header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0].to_vec();
        header.extend(source);
        header.extend(destination);
        put_sum(&mut header, 10, &[]);
        frame(self.to.0, self.from.0, IPV4, &[header, contents].concat())
    }

    /// A datagram (RFC 768) between these ports.
    #[must_use]
    pub fn datagram(&self, ports: (u16, u16), contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len() + 8).unwrap_or(u16::MAX).to_be_bytes();
        let (from, to) = (ports.0.to_be_bytes(), ports.1.to_be_bytes());
        self.packet(17, &[&from, &to, &length, &[0; 2], contents].concat())
    }

    /// A segment (RFC 9293, 3.1) without contents.
    #[must_use]
    pub fn segment(&self, ports: (u16, u16), sequence: u32, ack: u32, flags: u8) -> Vec<u8> {
        let (from, to) = (ports.0.to_be_bytes(), ports.1.to_be_bytes());
        let (sequence, ack) = (sequence.to_be_bytes(), ack.to_be_bytes());
        let rest = [5 << 4, flags, 0x10, 0, 0, 0, 0, 0];
        self.packet(6, &[&from[..], &to, &sequence, &ack, &rest].concat())
    }

    /// An echo request (RFC 792).
    #[must_use]
    pub fn echo_request(&self, sequence: u16) -> Vec<u8> {
        let [high, low] = sequence.to_be_bytes();
        self.packet(1, &[8, 0, 0, 0, 0x77, 0x77, high, low, 1, 2, 3, 4])
    }

    /// The sender says to all, unasked or not, that the address is its own (RFC 826).
    #[must_use]
    pub fn arp_reply(&self) -> Vec<u8> {
        self.arp(2)
    }

    /// The sender asks whose address the receiver's is.
    #[must_use]
    pub fn arp_request(&self) -> Vec<u8> {
        self.arp(1)
    }

    fn arp(&self, operation: u8) -> Vec<u8> {
        let mut contents = vec![0, 1, IPV4[0], IPV4[1], 6, 4, 0, operation];
        contents.extend(self.from.0);
        contents.extend(self.from.1.octets());
        contents.extend(self.to.0);
        contents.extend(self.to.1.octets());
        frame(self.to.0, self.from.0, ARP, &contents)
    }
}

/// A packet of IPv6 (RFC 8200) with these contents.
#[must_use]
pub fn ipv6(
    (from_mac, from): (Mac, Ipv6Addr),
    (to_mac, to): (Mac, Ipv6Addr),
    next_header: u8,
    contents: &[u8],
) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len()).unwrap_or(u16::MAX).to_be_bytes();
    let head = [0x60, 0, 0, 0, high, low, next_header, 255];
    frame(to_mac, from_mac, IPV6, &[&head[..], &from.octets(), &to.octets(), contents].concat())
}

/// A frame.
#[must_use]
pub fn frame(to: Mac, from: Mac, kind: [u8; 2], contents: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind, contents].concat()
}

/// What a frame from `from` says in reply to [`Ends::arp_request`]: the station at `address`.
#[must_use]
pub fn arp_answer(frame: &[u8], address: Ipv4Addr) -> Option<Mac> {
    let is_answer = frame.get(12..14)? == ARP && frame.get(20..22)? == [0, 2];
    let is_from_there = frame.get(28..32)? == address.octets();
    if is_answer && is_from_there { frame.get(22..28)?.try_into().ok() } else { None }
}

/// The contents of a packet of IPv4 of this protocol from `from`.
#[must_use]
pub fn ipv4_contents(frame: &[u8], from: Ipv4Addr, protocol: u8) -> Option<&[u8]> {
    let packet = frame.get(14..).filter(|_| frame.get(12..14) == Some(&IPV4))?;
    let is_it = packet.get(9) == Some(&protocol) && packet.get(12..16)? == from.octets();
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let header = usize::from(packet.first()? & 15) * 4;
    packet.get(header..total).filter(|_| is_it)
}

/// Puts the sum of RFC 1071 at `at`, over `pseudo` and all bytes.
fn put_sum(bytes: &mut [u8], at: usize, pseudo: &[u8]) {
    let Some(place) = bytes.get_mut(at..at + 2) else { return };
    place.fill(0);
    let words = pseudo.chunks(2).chain(bytes.chunks(2));
    let mut sum: u32 = words
        .map(|pair| {
            let [high, low] = [pair.first(), pair.get(1)].map(|byte| byte.copied().unwrap_or(0));
            u32::from(u16::from_be_bytes([high, low]))
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{Ends, arp_answer, ipv4_contents};

    const ENDS: Ends = Ends {
        from: ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 168, 0, 1)),
        to: ([2, 0, 0, 0, 0, 2], Ipv4Addr::new(192, 168, 0, 199)),
    };

    /// The example that is in most explanations of the sum.
    #[test]
    fn sums_are_right() {
        let packet = ENDS.datagram((68, 67), &[0; 87]);
        let sum = |bytes: &[u8]| {
            let mut copy = bytes.to_vec();
            super::put_sum(&mut copy, 10, &[]);
            [copy[10], copy[11]]
        };
        let header = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,
            0xc7,
        ];
        assert_eq!(sum(&header), [0xb8, 0x61]);
        assert_eq!(packet.len(), 14 + 20 + 8 + 87);
        let contents = ipv4_contents(&packet, ENDS.from.1, 17).unwrap();
        assert_eq!(contents[..6], [0, 68, 0, 67, 0, 95]);
        assert_eq!(ipv4_contents(&packet, ENDS.to.1, 17), None);
    }

    #[test]
    fn an_answer_says_where_an_address_is() {
        let answer = ENDS.arp_reply();
        assert_eq!(arp_answer(&answer, ENDS.from.1), Some(ENDS.from.0));
        assert_eq!(arp_answer(&ENDS.arp_request(), ENDS.from.1), None);
        assert_eq!(arp_answer(&answer[..30], ENDS.from.1), None);
    }
}
