//! What a frame of a guest says about its sender: pure, on the frame's first bytes.

use super::address::MacAddr;
use crate::bytes::{array, be16, byte};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a frame that are looked at. All headers of honest frames are within.
pub const HEAD_BYTES: usize = 192;
// A message of neighbour discovery whose options go on after that is seen to, for the last of them is cut.
const _: () = assert!((HEAD_BYTES - ETHERNET - 40 - 24) % 8 == 2);

const ETHERNET: usize = 14;
/// Less than this is a length (IEEE 802.3): what follows is LLC.
const FIRST_TYPE: u16 = 0x0600;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
/// Tags of VLANs (802.1Q, 802.1ad, and the one before it).
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];

const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_SERVER: u16 = 547;
const DHCPV6_CLIENT: u16 = 546;

/// Addresses of a frame (IEEE 802.3).
pub(super) fn addresses(head: &[u8]) -> Option<(MacAddr, MacAddr)> {
    be16(head, 12)?;
    Some((MacAddr(array(head, 0)?), MacAddr(array(head, 6)?)))
}

/// What a frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Says {
    /// Nothing about IP addresses.
    Nothing,
    /// This address is the sender's.
    Sender(IpAddr),
    /// Both addresses are the sender's.
    Senders(IpAddr, IpAddr),
    /// Its sender is a router or a DHCP server.
    Server,
    /// An address is at another station than the frame's sender.
    OtherStation,
    /// It could be anything.
    Hidden,
    /// It is cut off, or contradicts itself.
    Malformed,
}

/// What the frame says whose first bytes are `head` and whose sender is `source`.
pub(super) fn inspect(head: &[u8], source: MacAddr) -> Says {
    let Some(kind) = be16(head, 12) else { return Says::Malformed };
    let packet = head.get(ETHERNET..).unwrap_or(&[]);
    let says = match kind {
        IPV4 => ipv4(packet),
        IPV6 => ipv6(packet, source),
        ARP => arp(packet, source),
        _ if kind < FIRST_TYPE || TAGS.contains(&kind) => Some(Says::Hidden),
        _ => Some(Says::Nothing),
    };
    says.unwrap_or(Says::Malformed)
}

/// RFC 826.
fn arp(packet: &[u8], source: MacAddr) -> Option<Says> {
    // Ethernet, IPv4, and their lengths.
    let is_usual = be16(packet, 0)? == 1 && be16(packet, 2)? == IPV4 && be16(packet, 4)? == 0x0604;
    if !is_usual {
        return None;
    }
    let sender = Ipv4Addr::from(array::<4>(packet, 14)?);
    let _target = array::<10>(packet, 18)?;
    if array(packet, 8)? != source.0 {
        return Some(Says::OtherStation);
    }
    // "Is this one free" (RFC 5227).
    Some(if sender.is_unspecified() { Says::Nothing } else { v4_sender(sender) })
}

fn v4_sender(sender: Ipv4Addr) -> Says {
    let is_of_one = !sender.is_multicast() && !sender.is_broadcast() && !sender.is_loopback();
    if is_of_one { Says::Sender(IpAddr::V4(sender)) } else { Says::Malformed }
}

/// RFC 791.
fn ipv4(packet: &[u8]) -> Option<Says> {
    let first = byte(packet, 0)?;
    let header = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    let sender = Ipv4Addr::from(array::<4>(packet, 12)?);
    let is_first_piece = be16(packet, 6)? & 0x1fff == 0;
    if byte(packet, 9)? == UDP && is_first_piece {
        // A first piece without the ports cannot be judged.
        let Some(ports) = ports(packet, header) else { return Some(Says::Hidden) };
        if is_of_server(ports, DHCP_SERVER, DHCP_CLIENT) {
            return Some(Says::Server);
        }
    }
    // A guest that asks for an address has none (RFC 2131).
    Some(if sender.is_unspecified() { Says::Nothing } else { v4_sender(sender) })
}

/// Where a datagram comes from, and where it goes.
fn ports(packet: &[u8], at: usize) -> Option<[u16; 2]> {
    Some([be16(packet, at)?, be16(packet, at.checked_add(2)?)?])
}

/// Whether only a DHCP server would send it. Many clients look at their own port only (RFC 7610, 5), so it counts as well.
fn is_of_server([source, destination]: [u16; 2], server: u16, client: u16) -> bool {
    source == server || destination == client
}

/// RFC 8200.
fn ipv6(packet: &[u8], source: MacAddr) -> Option<Says> {
    const FIXED: usize = 40;
    if byte(packet, 0)? >> 4 != 6 {
        return None;
    }
    let sender = Ipv6Addr::from(array::<16>(packet, 8)?);
    let _destination = array::<16>(packet, 24)?;
    let mut next = byte(packet, 6)?;
    let mut at = FIXED;
    let mut is_later_piece = false;
    // Each round goes on by at least 8 bytes, and ends where the head does.
    while let Some((following, len)) = extension(packet, next, at, &mut is_later_piece)? {
        (next, at) = (following, at.checked_add(len)?);
        if at >= packet.len() {
            return Some(Says::Hidden);
        }
    }
    let mut also = None;
    if !is_later_piece {
        let says = match next {
            ICMPV6 => discovery(packet.get(at..)?, source)?,
            UDP if is_of_server(ports(packet, at)?, DHCPV6_SERVER, DHCPV6_CLIENT) => Says::Server,
            _ => Says::Nothing,
        };
        if at != FIXED && says != Says::Nothing {
            // Nobody sends these so, but to get past a guard (RFC 6980, 7113).
            return Some(Says::Hidden);
        }
        match says {
            Says::Nothing => {}
            Says::Sender(address) => also = Some(address),
            other @ (Says::Senders(..)
            | Says::Server
            | Says::OtherStation
            | Says::Hidden
            | Says::Malformed) => return Some(other),
        }
    }
    Some(if sender.is_unspecified() && also.is_none() {
        // "Is this one free" (RFC 4862).
        Says::Nothing
    } else if sender.is_unspecified() || sender.is_multicast() || sender.is_loopback() {
        Says::Malformed
    } else {
        let sender = IpAddr::V6(sender);
        also.map_or(Says::Sender(sender), |also| Says::Senders(sender, also))
    })
}

/// The header that follows the extension header `kind` at `at`, and its length. `None` within, if it is none; `None` if it is
/// cut off.
fn extension(
    packet: &[u8],
    kind: u8,
    at: usize,
    is_later_piece: &mut bool,
) -> Option<Option<(u8, usize)>> {
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    // Hop by hop, routing, destination, mobility, HIP, shim6.
    const COUNTED: [u8; 6] = [0, 43, 60, 135, 139, 140];
    if *is_later_piece {
        return Some(None);
    }
    if kind == FRAGMENT {
        *is_later_piece = be16(packet, at.checked_add(2)?)? >> 3 != 0;
        return Some(Some((byte(packet, at)?, 8)));
    }
    let unit = if kind == AUTHENTICATION {
        4
    } else if COUNTED.contains(&kind) {
        8
    } else {
        return Some(None);
    };
    let count = usize::from(byte(packet, at.checked_add(1)?)?);
    // The authentication header counts from its third word (RFC 4302).
    let units = if kind == AUTHENTICATION { count + 2 } else { count + 1 };
    Some(Some((byte(packet, at)?, unit * units)))
}

/// Neighbour discovery (RFC 4861): what a message of ICMPv6 says about addresses.
fn discovery(message: &[u8], source: MacAddr) -> Option<Says> {
    const ROUTER_SOLICITATION: u8 = 133;
    const ROUTER_ADVERTISEMENT: u8 = 134;
    const SOLICITATION: u8 = 135;
    const ADVERTISEMENT: u8 = 136;
    const REDIRECT: u8 = 137;
    let kind = byte(message, 0)?;
    let options = match kind {
        ROUTER_ADVERTISEMENT | REDIRECT => return Some(Says::Server),
        ROUTER_SOLICITATION => 8,
        SOLICITATION | ADVERTISEMENT => 24,
        _ => return Some(Says::Nothing),
    };
    let says = link_layer(message.get(options..)?, source);
    if says != Says::Nothing {
        return Some(says);
    }
    if kind != ADVERTISEMENT {
        return Some(Says::Nothing);
    }
    Some(Says::Sender(IpAddr::V6(Ipv6Addr::from(array::<16>(message, 8)?))))
}

/// The options of a message of neighbour discovery: addresses in them must be the sender's.
fn link_layer(mut options: &[u8], source: MacAddr) -> Says {
    const SOURCE: u8 = 1;
    const TARGET: u8 = 2;
    while let (Some(kind), Some(units)) = (byte(options, 0), byte(options, 1)) {
        let Some((option, rest)) = options.split_at_checked(usize::from(units) * 8) else {
            return Says::Hidden;
        };
        if option.is_empty() {
            return Says::Malformed;
        }
        if matches!(kind, SOURCE | TARGET) && array(option, 2) != Some(source.0) {
            return Says::OtherStation;
        }
        options = rest;
    }
    if options.is_empty() { Says::Nothing } else { Says::Malformed }
}

#[cfg(test)]
mod tests;
