//! Fields of packets that translation looks at and changes (RFC 791, 792, 768, 9293).

use crate::bytes::{array, be16, byte};
use core::net::Ipv4Addr;

const TTL: usize = 8;
const HEADER_SUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;
const SHORTEST_HEADER: usize = 20;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What is translated.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    /// Echo requests and their answers, whose identifier serves as port.
    Echo,
}

/// What a packet does to a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It opens one, or asks something.
    Open,
    /// It goes on.
    On,
    /// It ends it.
    End,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Flow {
        protocol: Protocol,
        source_port: u16,
        destination_port: u16,
        step: Step,
    },
    /// A message about another packet, the beginning of which is in it.
    Trouble,
    /// A piece of a packet.
    Fragment,
    Other,
}

/// What a packet says, as far as it concerns translation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Facts {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) kind: Kind,
    /// Where the payload begins.
    pub(super) header: usize,
}

/// Which end of a packet is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// Reads a packet; `None` if it is cut off or contradicts itself.
pub(super) fn read(packet: &[u8]) -> Option<Facts> {
    let first = byte(packet, 0)?;
    let header = usize::from(first & 0xf) * 4;
    let total = usize::from(be16(packet, 2)?);
    if first >> 4 != 4 || header < SHORTEST_HEADER || total < header || total > packet.len() {
        return None;
    }
    let payload = packet.get(header..total)?;
    let is_fragment = be16(packet, 6)? & 0x3fff != 0;
    let kind = if is_fragment { Kind::Fragment } else { kind(byte(packet, 9)?, payload)? };
    Some(Facts {
        source: Ipv4Addr::from(array::<4>(packet, SOURCE)?),
        destination: Ipv4Addr::from(array::<4>(packet, DESTINATION)?),
        ttl: byte(packet, TTL)?,
        kind,
        header,
    })
}

fn kind(protocol: u8, payload: &[u8]) -> Option<Kind> {
    let ports = || Some((be16(payload, 0)?, be16(payload, 2)?));
    Some(match protocol {
        TCP => {
            const FIN: u8 = 1;
            const SYN: u8 = 2;
            const RST: u8 = 4;
            const ACK: u8 = 16;
            let (source_port, destination_port) = ports()?;
            let flags = byte(payload, 13)?;
            // The whole header is there.
            array::<20>(payload, 0)?;
            let step = if flags & (FIN | RST) != 0 {
                Step::End
            } else if flags & (SYN | ACK) == SYN {
                Step::Open
            } else {
                Step::On
            };
            Kind::Flow { protocol: Protocol::Tcp, source_port, destination_port, step }
        }
        UDP => {
            let (source_port, destination_port) = ports()?;
            array::<8>(payload, 0)?;
            let step = Step::Open;
            Kind::Flow { protocol: Protocol::Udp, source_port, destination_port, step }
        }
        ICMP => {
            const ECHO_REPLY: u8 = 0;
            const ECHO: u8 = 8;
            let ident = array::<8>(payload, 0).and_then(|_| be16(payload, 4))?;
            let protocol = Protocol::Echo;
            match byte(payload, 0)? {
                ECHO => Kind::Flow {
                    protocol,
                    source_port: ident,
                    destination_port: 0,
                    step: Step::Open,
                },
                ECHO_REPLY => {
                    Kind::Flow { protocol, source_port: 0, destination_port: ident, step: Step::On }
                }
                // Unreachable, time exceeded, parameter problem.
                3 | 11 | 12 => Kind::Trouble,
                _ => Kind::Other,
            }
        }
        _ => Kind::Other,
    })
}

/// Changes an end of a packet. `None` if it has no such bytes; it is then not to be sent.
pub(super) fn rewrite(
    packet: &mut [u8],
    header: usize,
    protocol: Protocol,
    side: Side,
    (address, port): (Ipv4Addr, u16),
) -> Option<()> {
    let sum = match protocol {
        Protocol::Tcp => Some(header + 16),
        // A sum of zero is none (RFC 768).
        Protocol::Udp => Some(header + 6).filter(|at| be16(packet, *at) != Some(0)),
        Protocol::Echo => Some(header + 2),
    };
    // The sums of TCP and UDP are over the addresses too.
    let address_sum = sum.filter(|_| protocol != Protocol::Echo);
    let at = if side == Side::Source { SOURCE } else { DESTINATION };
    let [a, b, c, d] = address.octets();
    for (at, new) in [(at, [a, b]), (at + 2, [c, d])] {
        put(packet, at, u16::from_be_bytes(new), [Some(HEADER_SUM), address_sum])?;
    }
    let at = match (protocol, side) {
        (Protocol::Echo, _) => header + 4,
        (Protocol::Tcp | Protocol::Udp, Side::Source) => header,
        (Protocol::Tcp | Protocol::Udp, Side::Destination) => header + 2,
    };
    put(packet, at, port, [sum, None])?;
    if let (Protocol::Udp, Some(sum)) = (protocol, sum)
        && be16(packet, sum) == Some(0)
    {
        packet.get_mut(sum..)?.first_chunk_mut::<2>()?.fill(0xff);
    }
    Some(())
}

/// Changes an address only, of a packet without ports.
pub(super) fn rewrite_address(packet: &mut [u8], side: Side, address: Ipv4Addr) -> Option<()> {
    let at = if side == Side::Source { SOURCE } else { DESTINATION };
    let [a, b, c, d] = address.octets();
    for (at, new) in [(at, [a, b]), (at + 2, [c, d])] {
        put(packet, at, u16::from_be_bytes(new), [Some(HEADER_SUM), None])?;
    }
    Some(())
}

/// One hop less to go.
pub(super) fn age(packet: &mut [u8]) -> Option<()> {
    let [ttl, protocol] = array(packet, TTL)?;
    put(packet, TTL, u16::from_be_bytes([ttl.checked_sub(1)?, protocol]), [Some(HEADER_SUM), None])
}

/// Puts a word, and adjusts the sums that are over it.
fn put(packet: &mut [u8], at: usize, new: u16, sums: [Option<usize>; 2]) -> Option<()> {
    let old = be16(packet, at)?;
    *packet.get_mut(at..)?.first_chunk_mut::<2>()? = new.to_be_bytes();
    for sum in sums.into_iter().flatten() {
        let adjusted = adjust(be16(packet, sum)?, old, new);
        *packet.get_mut(sum..)?.first_chunk_mut::<2>()? = adjusted.to_be_bytes();
    }
    Some(())
}

/// A sum after a word has changed (RFC 1624, equation 3).
fn adjust(sum: u16, old: u16, new: u16) -> u16 {
    !fold(u32::from(!sum) + u32::from(!old) + u32::from(new))
}

/// The sum of a message (RFC 1071); zero if it has its own in it and that is right.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    let total = words.iter().fold(last, |total, word| {
        let total = total + u32::from(u16::from_be_bytes(*word));
        (total & 0xffff) + (total >> 16)
    });
    !fold(total)
}

fn fold(total: u32) -> u16 {
    let once = (total & 0xffff) + (total >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}
