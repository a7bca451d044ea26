//! Frames of Ethernet, as far as a router looks at them (RFC 894).

use crate::bytes::{array, be16, byte};
use crate::switch::MacAddr;
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

/// Bytes before the packet.
pub(super) const HEADER: usize = 14;
const ADDRESSES: usize = 12;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

/// What a frame is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) destination: MacAddr,
    pub(super) source: MacAddr,
    pub(super) carries: Carries,
}

/// What is in a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Carries {
    Ipv4(Packet),
    Arp,
    Other,
}

/// What a packet of IPv4 says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Packet {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    /// Where it goes, if it is whole: UDP and TCP have the port at the same place.
    pub(super) port: Option<(Transport, u16)>,
}

/// What has ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Reads a frame; `None` if it is cut off.
pub(super) fn read(frame: &[u8]) -> Option<Head> {
    let carries = match be16(frame, ADDRESSES)? {
        IPV4 => packet(frame.get(HEADER..)?).map_or(Carries::Other, Carries::Ipv4),
        ARP => Carries::Arp,
        _ => Carries::Other,
    };
    let destination = MacAddr(array(frame, 0)?);
    Some(Head { destination, source: MacAddr(array(frame, 6)?), carries })
}

fn packet(packet: &[u8]) -> Option<Packet> {
    const UDP: u8 = 17;
    const TCP: u8 = 6;
    let first = byte(packet, 0)?;
    let header = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || header < 20 {
        return None;
    }
    let is_whole = be16(packet, 6)? & 0x3fff == 0;
    let transport = match byte(packet, 9)? {
        UDP if is_whole => Some(Transport::Udp),
        TCP if is_whole => Some(Transport::Tcp),
        _ => None,
    };
    Some(Packet {
        source: Ipv4Addr::from(array::<4>(packet, 12)?),
        destination: Ipv4Addr::from(array::<4>(packet, 16)?),
        port: transport.and_then(|transport| Some((transport, be16(packet, header + 2)?))),
    })
}

/// The payload of a frame of UDP whose length is right.
pub(super) fn udp_payload(frame: &[u8]) -> Option<&[u8]> {
    let packet = Ipv4Packet::new_checked(frame.get(HEADER..)?).ok()?;
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    Some(datagram.payload())
}

/// Gives a frame new stations.
pub(super) fn address(frame: &mut [u8], destination: MacAddr, source: MacAddr) {
    if let Some(head) = frame.first_chunk_mut::<ADDRESSES>() {
        let (first, second) = head.split_at_mut(6);
        first.copy_from_slice(&destination.0);
        second.copy_from_slice(&source.0);
    }
}

/// Who says by ARP where he is.
pub(super) fn arp_sender(frame: &[u8]) -> Option<(Ipv4Addr, MacAddr)> {
    let packet = ArpPacket::new_checked(frame.get(HEADER..)?).ok()?;
    match ArpRepr::parse(&packet).ok()? {
        ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, .. } => {
            Some((source_protocol_addr, MacAddr(source_hardware_addr.0)))
        }
        _ => None,
    }
}

/// A question by ARP where an address is.
pub(super) fn arp_request(own: (Ipv4Addr, MacAddr), wanted: Ipv4Addr) -> Vec<u8> {
    let (address, mac) = own;
    let arp = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: wanted,
    };
    let mut frame = ethernet(MacAddr::BROADCAST, mac, EthernetProtocol::Arp, arp.buffer_len());
    if let Some(body) = frame.get_mut(HEADER..) {
        arp.emit(&mut ArpPacket::new_unchecked(body));
    }
    frame
}

/// One end of a datagram.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) mac: MacAddr,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

/// A frame with a datagram.
pub(super) fn udp(from: End, to: End, payload: &[u8]) -> Vec<u8> {
    const HOPS: u8 = 64;
    let sums = ChecksumCapabilities::default();
    let udp = UdpRepr { src_port: from.port, dst_port: to.port };
    let ip = Ipv4Repr {
        src_addr: from.address,
        dst_addr: to.address,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: HOPS,
    };
    let len = ip.buffer_len() + ip.payload_len;
    let mut frame = ethernet(to.mac, from.mac, EthernetProtocol::Ipv4, len);
    if let Some(body) = frame.get_mut(HEADER..) {
        let mut packet = Ipv4Packet::new_unchecked(body);
        ip.emit(&mut packet, &sums);
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        let ends = (IpAddress::Ipv4(from.address), IpAddress::Ipv4(to.address));
        let emit = |buf: &mut [u8]| buf.copy_from_slice(payload);
        udp.emit(&mut datagram, &ends.0, &ends.1, payload.len(), emit, &sums);
    }
    frame
}

fn ethernet(to: MacAddr, from: MacAddr, ethertype: EthernetProtocol, len: usize) -> Vec<u8> {
    let mut frame = vec![0; HEADER + len];
    let header = EthernetRepr {
        src_addr: EthernetAddress(from.0),
        dst_addr: EthernetAddress(to.0),
        ethertype,
    };
    header.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    frame
}
