//! A guest, a gate, a router and a server outside.

use super::*;
use crate::dhcp_server::Change;
use crate::uplink::frame::{End, udp};
use crate::uplink::{Gate, GateConfig, Outward, Way};
use proptest::prelude::*;
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};
use std::net::IpAddr;
use std::time::Duration;

const GUEST: End =
    End { mac: MacAddr([2, 0, 0, 0, 0, 9]), address: ip(192, 168, 76, 5), port: 4000 };
const GATE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const GATE_ADDRESS: Ipv4Addr = ip(192, 168, 76, 1);
const SERVER: End = End { mac: MacAddr([2, 0, 0, 0, 0, 7]), address: ip(10, 0, 2, 2), port: 80 };
const OUTSIDE: Outside = Outside {
    mac: MacAddr([2, 0, 0, 0, 0, 3]),
    address: ip(10, 0, 2, 15),
    prefix: 24,
    gateway: Some(SERVER.address),
};
const NOW: Instant = Instant(9_000_000_000);

const fn ip(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

fn station(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, number])
}

fn gate(outward: Outward) -> Gate {
    Gate::new(GateConfig { mac: GATE, address: GATE_ADDRESS, prefix: 24, outward }).unwrap()
}

fn router() -> Router {
    let own = Network::new(IpAddr::V4(GATE_ADDRESS), 24);
    let mut router = Router::new(vec![own]);
    router.set_outside(Some(OUTSIDE));
    let to = (ip(10, 0, 2, 3), 53);
    router.set_redirects(vec![Redirect { from: (GATE_ADDRESS, 53), to }]);
    router
}

/// A guest's datagram to an address, by way of the gate.
fn to(address: Ipv4Addr, port: u16) -> Vec<u8> {
    udp(GUEST, End { mac: GATE, address, port }, b"hello")
}

/// What the router sends for a guest's frame.
fn outward(router: &mut Router, bytes: &[u8], now: Instant) -> Vec<Vec<u8>> {
    let mut sent = Vec::new();
    router.outward(&mut bytes.to_vec(), 12345, now, |frame| sent.push(frame.to_vec()));
    sent
}

fn answer_arp(router: &mut Router, from: End, now: Instant) -> Vec<Vec<u8>> {
    // Whoever asks says where he is as well as who answers.
    let mut arp = frame::arp_request((from.address, from.mac), OUTSIDE.address);
    let mut sent = Vec::new();
    let came = router.inward(&mut arp, now, |frame| sent.push(frame.to_vec()));
    assert_eq!(came, Came::Local, "the host's stack wants to know, too");
    sent
}

#[test]
fn a_packet_waits_until_the_next_hop_is_known_and_its_answer_finds_the_way_back() {
    let (mut gate, mut router) = (gate(Outward::Routed), router());
    let frame = to(SERVER.address, SERVER.port);
    assert_eq!(gate.receive(&frame, NOW), Way::Outside([None; 2]));
    let asked = outward(&mut router, &frame, NOW);
    assert_eq!(asked.len(), 1);
    assert_eq!(frame::arp_sender(&asked[0]), Some((OUTSIDE.address, OUTSIDE.mac)));
    assert!(outward(&mut router, &frame, NOW).is_empty(), "it was asked just before");
    let sent = answer_arp(&mut router, SERVER, NOW);
    assert_eq!(sent.len(), 2);
    let head = frame::read(&sent[0]).unwrap();
    assert_eq!((head.destination, head.source), (SERVER.mac, OUTSIDE.mac));
    let Carries::Ipv4(packet) = head.carries else { panic!("{head:?}") };
    assert_eq!((packet.source, packet.destination), (OUTSIDE.address, SERVER.address));
    let port = u16::from_be_bytes([sent[0][34], sent[0][35]]);
    let back = End { mac: OUTSIDE.mac, address: OUTSIDE.address, port };
    let mut answer = udp(SERVER, back, b"hi");
    assert_eq!(router.inward(&mut answer, NOW, |_| {}), Came::Guest(GUEST.address));
    assert!(gate.address(GUEST.address, &mut answer));
    let head = frame::read(&answer).unwrap();
    assert_eq!((head.destination, head.source), (GUEST.mac, GATE));
    assert_eq!(frame::udp_payload(&answer), Some(&b"hi"[..]));
    let stranger = udp(SERVER, End { port: port ^ 1, ..back }, b"hi");
    assert_eq!(router.inward(&mut stranger.clone(), NOW, |_| {}), Came::Local);
    router.tend(NOW);
    assert_eq!(router.connections(), 1);
    router.tend(NOW + Duration::from_secs(301));
    assert_eq!(router.connections(), 0, "nobody has used it for long");
}

#[test]
fn hops_beyond_the_network_are_the_gateway() {
    let mut router = router();
    let frame = to(ip(1, 2, 3, 4), 80);
    outward(&mut router, &frame, NOW);
    let sent = answer_arp(&mut router, SERVER, NOW);
    assert_eq!(frame::read(&sent[0]).unwrap().destination, SERVER.mac);
    router.set_outside(Some(Outside { gateway: None, ..OUTSIDE }));
    assert!(outward(&mut router, &frame, NOW).is_empty(), "there is no way");
}

#[test]
fn guests_reach_nothing_of_roosts() {
    let (mut gate, mut router) = (gate(Outward::Routed), router());
    for address in [OUTSIDE.address, ip(192, 168, 76, 7), ip(127, 0, 0, 1), ip(224, 0, 0, 1)] {
        let frame = to(address, 23);
        if matches!(gate.receive(&frame, NOW), Way::Outside(_)) {
            assert!(outward(&mut router, &frame, NOW).is_empty(), "{address}");
        }
    }
    // Its port has a stack without any TCP port.
    assert_eq!(gate.receive(&to(GATE_ADDRESS, 23), NOW), Way::Local);
    let elsewhere = udp(
        End { address: ip(172, 16, 0, 1), ..GUEST },
        End { mac: GATE, ..SERVER },
        b"not of this network",
    );
    assert_eq!(gate.receive(&elsewhere, NOW), Way::Nowhere);
    assert_eq!(router.connections(), 0);
}

#[test]
fn queries_for_names_go_to_the_server_outside() {
    let (mut gate, mut router) = (gate(Outward::Routed), router());
    let frame = to(GATE_ADDRESS, 53);
    assert_eq!(gate.receive(&frame, NOW), Way::Outside([None; 2]));
    outward(&mut router, &frame, NOW);
    let sent = answer_arp(&mut router, End { address: ip(10, 0, 2, 3), ..SERVER }, NOW);
    let Carries::Ipv4(packet) = frame::read(&sent[0]).unwrap().carries else { panic!() };
    assert_eq!(packet.destination, ip(10, 0, 2, 3));
}

#[test]
fn a_host_only_network_has_no_way_out() {
    let mut gate = gate(Outward::None);
    assert_eq!(gate.receive(&to(SERVER.address, 80), NOW), Way::Nowhere);
    assert_eq!(gate.receive(&to(GATE_ADDRESS, 53), NOW), Way::Nowhere);
    assert_eq!(gate.receive(&to(GATE_ADDRESS, 80), NOW), Way::Local);
}

#[test]
fn a_guest_goes_outside_with_one_address_at_a_time() {
    let mut gate = gate(Outward::Routed);
    let with = |address| udp(End { address, ..GUEST }, End { mac: GATE, ..SERVER }, b"x");
    assert_eq!(gate.receive(&with(GUEST.address), NOW), Way::Outside([None; 2]));
    let other = ip(192, 168, 76, 6);
    assert_eq!(gate.receive(&with(other), NOW), Way::Outside([None, Some(GUEST.address)]));
    assert!(!gate.address(GUEST.address, &mut [0; 60]));
    assert!(gate.address(other, &mut [0; 60]));
}

#[test]
fn answers_are_for_the_guest_that_has_the_address_now() {
    for (first, then) in [(3, 4), (4, 3)].map(|(a, b)| (station(a), station(b))) {
        let mut gate = gate(Outward::Routed);
        let from =
            |mac, address| udp(End { mac, address, ..GUEST }, End { mac: GATE, ..SERVER }, b"x");
        assert_eq!(gate.receive(&from(first, GUEST.address), NOW), Way::Outside([None; 2]));
        let other = ip(192, 168, 76, 6);
        assert_eq!(gate.receive(&from(then, other), NOW), Way::Outside([None; 2]));
        // The first one is gone; what it had begun is not the other one's.
        let gone = Way::Outside([Some(GUEST.address), Some(other)]);
        assert_eq!(gate.receive(&from(then, GUEST.address), NOW), gone);
        let mut answer = [0; 60];
        assert!(gate.address(GUEST.address, &mut answer));
        assert_eq!(frame::read(&answer).unwrap().destination, then);
        assert_eq!(gate.receive(&from(then, GUEST.address), NOW), Way::Outside([None; 2]));
    }
}

#[test]
fn what_a_guest_had_begun_is_forgotten_when_there_is_no_room_for_it() {
    let mut gate = gate(Outward::Routed);
    let address = |number: u8| ip(192, 168, 76, 10 + number);
    let from = |number| {
        let end = End { mac: station(number), address: address(number), ..GUEST };
        udp(end, End { mac: GATE, ..SERVER }, b"x")
    };
    for number in 0..64 {
        let now = NOW + Duration::from_secs(number.into());
        assert_eq!(gate.receive(&from(number), now), Way::Outside([None; 2]));
    }
    let later = NOW + Duration::from_secs(100);
    assert_eq!(gate.receive(&from(64), later), Way::Outside([Some(address(0)), None]));
}

#[test]
fn what_waits_for_hops_that_never_answer_is_bounded() {
    let mut router = router();
    for number in 0..1000u32 {
        let address = Ipv4Addr::from_bits(OUTSIDE.address.to_bits() & !0xff | (number % 250 + 1));
        if address != OUTSIDE.address {
            outward(&mut router, &to(address, 80), NOW + Duration::from_millis(number.into()));
        }
    }
    assert!(router.waiting.len() <= MOST_WAITING);
}

fn ask(kind: DhcpMessageType, requested: Option<Ipv4Addr>) -> Vec<u8> {
    let request = DhcpRepr {
        message_type: kind,
        transaction_id: 1,
        secs: 0,
        client_hardware_address: EthernetAddress(GUEST.mac.0),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: requested,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut payload = vec![0; request.buffer_len()];
    request.emit(&mut DhcpPacket::new_unchecked(&mut payload[..])).unwrap();
    let from = End { address: Ipv4Addr::UNSPECIFIED, port: 68, ..GUEST };
    let all = End { mac: MacAddr::BROADCAST, address: Ipv4Addr::BROADCAST, port: 67 };
    udp(from, all, &payload)
}

#[test]
fn a_guest_that_asks_gets_an_address_and_the_gateway_it_needs() {
    let mut gate = gate(Outward::Routed);
    let Way::Dhcp(offer) = gate.receive(&ask(DhcpMessageType::Discover, None), NOW) else {
        panic!("no offer")
    };
    assert_eq!(offer.change, Change::None);
    let first = ip(192, 168, 76, 2);
    let request = ask(DhcpMessageType::Request, Some(first));
    let Way::Dhcp(lease) = gate.receive(&request, NOW) else { panic!("no lease") };
    assert_eq!((lease.client, lease.change), (GUEST.mac, Change::Leased(first)));
    let answer = lease.answer.unwrap();
    let head = frame::read(&answer).unwrap();
    assert_eq!((head.destination, head.source), (GUEST.mac, GATE));
    let packet = DhcpPacket::new_checked(frame::udp_payload(&answer).unwrap()).unwrap();
    let answer = DhcpRepr::parse(&packet).unwrap();
    assert_eq!((answer.your_ip, answer.router), (first, Some(GATE_ADDRESS)));
    assert_eq!(answer.dns_servers.unwrap().to_vec(), [GATE_ADDRESS]);
    let second = ip(192, 168, 76, 3);
    let request = ask(DhcpMessageType::Request, Some(second));
    let Way::Dhcp(lease) = gate.receive(&request, NOW) else { panic!("no lease") };
    assert_eq!((lease.change, lease.before), (Change::Leased(second), Some(first)));
}

proptest! {
    #[test]
    fn no_frame_is_too_strange(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        ipv4 in any::<bool>(),
        now in any::<u64>(),
    ) {
        let (mut gate, mut router) = (gate(Outward::Routed), router());
        let mut bytes = bytes;
        if ipv4 && let Some(head) = bytes.first_chunk_mut::<15>() {
            head[..6].copy_from_slice(&GATE.0);
            head[12..].copy_from_slice(&[8, 0, 0x45]);
        }
        let _ = gate.receive(&bytes, Instant(now));
        outward(&mut router, &bytes, Instant(now));
        let _ = router.inward(&mut bytes, Instant(now), |_| {});
    }
}
