//! Guests who go out, and answers that come in.

use super::*;
use crate::nat::table::{MOST, MOST_OF_ONE};
use proptest::prelude::*;
use std::time::Duration;

const NOW: Instant = Instant(1);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 9);
const REMOTE: Ipv4Addr = Ipv4Addr::new(8, 7, 6, 5);
const NAMES: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const RST: u8 = 4;

fn nat() -> Nat {
    let mut nat = Nat::new(NatConfig {
        forbidden: vec!["192.168.7.0/24".parse().unwrap()],
        redirects: vec![Redirect { from: (GATEWAY, 53), to: (NAMES, 53) }],
    });
    nat.set_outside(Some(OUTSIDE));
    nat
}

/// A sum over a pseudo header and a segment (RFC 9293, 3.1).
fn transport_sum(packet: &[u8]) -> u16 {
    let segment = &packet[20..];
    let len = segment.len() as u16;
    let pseudo = [&packet[12..20], &[0, packet[9]], &len.to_be_bytes()].concat();
    packet::sum(&[&pseudo[..], segment].concat())
}

fn ip(protocol: u8, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let [a, b] = (20 + payload.len() as u16).to_be_bytes();
    let fixed = [0x45, 0, a, b, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    let mut packet = [&fixed[..], &source.octets(), &destination.octets(), payload].concat();
    let sum = packet::sum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let at = match protocol {
        1 => 22,
        6 => 36,
        _ => 26,
    };
    let sum = if protocol == 1 { packet::sum(&packet[20..]) } else { transport_sum(&packet) };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn tcp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), flags: u8) -> Vec<u8> {
    let [a, b] = source.1.to_be_bytes();
    let [c, d] = destination.1.to_be_bytes();
    let header =
        [a, b, c, d, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0, b'h', b'i', b'!'];
    ip(6, source.0, destination.0, &header)
}

fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), data: &[u8]) -> Vec<u8> {
    let ports = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
    let len = (8 + data.len() as u16).to_be_bytes();
    ip(17, source.0, destination.0, &[&ports[..], &len, &[0, 0], data].concat())
}

fn echo(kind: u8, source: Ipv4Addr, destination: Ipv4Addr, ident: u16) -> Vec<u8> {
    let [a, b] = ident.to_be_bytes();
    ip(1, source, destination, &[kind, 0, 0, 0, a, b, 0, 1, b'x'])
}

fn ends(packet: &[u8]) -> ((Ipv4Addr, u16), (Ipv4Addr, u16)) {
    let facts = packet::read(packet).unwrap();
    let Kind::Flow { source_port, destination_port, .. } = facts.kind else { panic!("{facts:?}") };
    ((facts.source, source_port), (facts.destination, destination_port))
}

fn assert_sums(packet: &[u8]) {
    assert_eq!(packet::sum(&packet[..20]), 0, "header");
    match packet[9] {
        1 => assert_eq!(packet::sum(&packet[20..]), 0, "ICMP"),
        17 if packet[26..28] == [0, 0] => {}
        _ => assert_eq!(transport_sum(packet), 0, "transport"),
    }
}

#[test]
fn a_connection_goes_out_and_its_answers_come_in() {
    let mut nat = nat();
    let mut packet = tcp((GUEST, 1000), (REMOTE, 80), SYN);
    assert_eq!(nat.outbound(&mut packet, 0x1234_5678, NOW), Verdict::Send(REMOTE));
    let (from, to) = ends(&packet);
    assert_eq!((from.0, to), (OUTSIDE, (REMOTE, 80)));
    assert!(from.1 >= 0x8000);
    assert_eq!(packet[8], 63);
    assert_sums(&packet);
    let mut answer = tcp(to, from, SYN_ACK);
    assert_eq!(nat.inbound(&mut answer, NOW), Verdict::Send(GUEST));
    assert_eq!(ends(&answer), ((REMOTE, 80), (GUEST, 1000)));
    assert_sums(&answer);
    // It lasts for hours, until it is reset.
    let later = NOW + Duration::from_secs(7000);
    let mut packet = tcp((GUEST, 1000), (REMOTE, 80), ACK);
    assert_eq!(nat.outbound(&mut packet, 0, later), Verdict::Send(REMOTE));
    assert_eq!(ends(&packet).0, from);
    assert_eq!(nat.inbound(&mut tcp(to, from, RST), later), Verdict::Send(GUEST));
    let over = later + Duration::from_secs(240);
    assert_eq!(nat.inbound(&mut tcp(to, from, ACK), over), Verdict::NotOurs);
    assert_eq!(nat.connections(), 0);
}

#[test]
fn nothing_comes_in_that_nobody_asked_for() {
    let mut nat = nat();
    let mut packet = udp((GUEST, 1000), (REMOTE, 5000), b"hello");
    assert_eq!(nat.outbound(&mut packet, 7, NOW), Verdict::Send(REMOTE));
    let (from, to) = ends(&packet);
    for (source, destination) in [
        ((NAMES, 5000), from),
        ((REMOTE, 5001), from),
        (to, (OUTSIDE, from.1 ^ 1)),
        (to, (OUTSIDE, 23)),
        (to, (GUEST, 1000)),
    ] {
        let mut packet = udp(source, destination, b"in");
        let before = packet.clone();
        assert_eq!(nat.inbound(&mut packet, NOW), Verdict::NotOurs);
        assert_eq!(packet, before);
        assert_eq!(nat.inbound(&mut tcp(source, destination, SYN), NOW), Verdict::NotOurs);
    }
    assert_eq!(nat.inbound(&mut udp(to, from, b"in"), NOW), Verdict::Send(GUEST));
}

#[test]
fn name_queries_go_to_a_name_server_and_their_answers_come_from_the_gateway() {
    let mut nat = nat();
    let mut query = udp((GUEST, 1000), (GATEWAY, 53), b"query");
    assert_eq!(nat.outbound(&mut query, 7, NOW), Verdict::Send(NAMES));
    let (from, to) = ends(&query);
    assert_eq!(to, (NAMES, 53));
    assert_sums(&query);
    let mut answer = udp(to, from, b"answer");
    assert_eq!(nat.inbound(&mut answer, NOW), Verdict::Send(GUEST));
    assert_eq!(ends(&answer), ((GATEWAY, 53), (GUEST, 1000)));
    assert_sums(&answer);
}

#[test]
fn echoes_find_back_by_their_identifier() {
    let mut nat = nat();
    let mut request = echo(8, GUEST, REMOTE, 77);
    assert_eq!(nat.outbound(&mut request, 7, NOW), Verdict::Send(REMOTE));
    assert_sums(&request);
    let ident = u16::from_be_bytes([request[24], request[25]]);
    assert_ne!(ident, 77);
    let mut answer = echo(0, REMOTE, OUTSIDE, ident);
    assert_eq!(nat.inbound(&mut answer, NOW), Verdict::Send(GUEST));
    assert_eq!(answer[24..26], 77u16.to_be_bytes());
    assert_sums(&answer);
    assert_eq!(nat.inbound(&mut echo(0, REMOTE, OUTSIDE, ident ^ 1), NOW), Verdict::NotOurs);
    // The host's own echo, which it answers itself.
    assert_eq!(nat.inbound(&mut echo(8, REMOTE, OUTSIDE, ident), NOW), Verdict::NotOurs);
}

#[test]
fn trouble_is_told_to_the_guest_about_its_own_packet() {
    let router = Ipv4Addr::new(1, 1, 1, 1);
    for (sent, meant) in [
        (udp((GUEST, 1000), (REMOTE, 5000), b"hello"), REMOTE),
        (tcp((GUEST, 1000), (REMOTE, 5000), SYN), REMOTE),
        (echo(8, GUEST, REMOTE, 77), REMOTE),
        (udp((GUEST, 1000), (GATEWAY, 53), b"query"), GATEWAY),
    ] {
        let mut nat = nat();
        let mut packet = sent.clone();
        assert!(matches!(nat.outbound(&mut packet, 7, NOW), Verdict::Send(_)));
        let message = [&[3, 4, 0, 0, 0, 0, 5, 0][..], &packet[..28]].concat();
        let mut trouble = ip(1, router, OUTSIDE, &message);
        assert_eq!(nat.inbound(&mut trouble, NOW), Verdict::Send(GUEST));
        assert_sums(&trouble);
        let within = &trouble[28..];
        assert_eq!(within[12..20], [GUEST.octets(), meant.octets()].concat());
        assert_eq!(packet::sum(&within[..20]), 0);
        let ports = if sent[9] == 1 { 24..26 } else { 20..24 };
        assert_eq!(within[ports.clone()], sent[ports]);
        // One about a packet that nobody has sent is not passed on.
        let mut message = message;
        message[8 + 12] ^= 1;
        let mut trouble = ip(1, router, OUTSIDE, &message);
        assert_eq!(nat.inbound(&mut trouble, NOW), Verdict::NotOurs);
    }
}

#[test]
fn guests_do_not_reach_what_they_must_not() {
    let mut nat = nat();
    let loopback = Ipv4Addr::LOCALHOST;
    let management = Ipv4Addr::new(192, 168, 7, 4);
    let group = Ipv4Addr::new(224, 0, 0, 1);
    let local = Ipv4Addr::new(169, 254, 1, 1);
    for to in [OUTSIDE, loopback, management, group, local, Ipv4Addr::BROADCAST] {
        let verdict = nat.outbound(&mut tcp((GUEST, 1), (to, 23), SYN), 7, NOW);
        assert_eq!(verdict, Verdict::Refuse(Refusal::Forbidden), "{to}");
    }
    assert_eq!((nat.connections(), nat.counters().refused(Refusal::Forbidden)), (0, 6));
}

#[test]
fn what_cannot_be_translated_goes_nowhere() {
    let mut nat = nat();
    let mut refused = |mut packet: Vec<u8>| match nat.outbound(&mut packet, 7, NOW) {
        Verdict::Refuse(why) => Some(why),
        Verdict::Send(_) | Verdict::NotOurs => None,
    };
    let good = || tcp((GUEST, 1), (REMOTE, 80), SYN);
    let with = |at: usize, value| {
        let mut packet = good();
        packet[at] = value;
        packet
    };
    assert_eq!(refused(with(8, 1)), Some(Refusal::TimeToLive));
    assert_eq!(refused(with(6, 0x20)), Some(Refusal::Fragment));
    assert_eq!(refused(with(7, 1)), Some(Refusal::Fragment));
    assert_eq!(refused(with(9, 47)), Some(Refusal::Protocol));
    assert_eq!(refused(with(0, 0x44)), Some(Refusal::Malformed));
    assert_eq!(refused(with(2, 9)), Some(Refusal::Malformed));
    assert_eq!(refused(good()[..30].to_vec()), Some(Refusal::Malformed));
    assert_eq!(refused(tcp((GUEST, 1), (REMOTE, 80), ACK)), Some(Refusal::Unknown));
    assert_eq!(refused(good()), None);
}

#[test]
fn a_guest_that_opens_everything_leaves_room_for_others() {
    let mut nat = nat();
    let mut last = Verdict::NotOurs;
    for port in 0..2000 {
        last = nat.outbound(
            &mut udp((GUEST, port), (REMOTE, 53), b""),
            u32::from(port).wrapping_mul(77_777),
            NOW,
        );
    }
    assert_eq!(last, Verdict::Refuse(Refusal::FullOfGuest));
    assert_eq!(nat.connections(), MOST_OF_ONE);
    for guest in 10..200 {
        for port in 0..100u16 {
            let guest = Ipv4Addr::new(10, 0, 1, guest);
            let random = (u32::from(port) * 77_777).wrapping_add(guest.to_bits().wrapping_mul(31));
            last = nat.outbound(&mut udp((guest, port), (REMOTE, port), b""), random, NOW);
        }
    }
    assert_eq!(last, Verdict::Refuse(Refusal::Full));
    assert!(nat.connections() <= MOST);
    // When they have ended there is room again.
    let later = NOW + Duration::from_secs(300);
    assert_eq!(
        nat.outbound(&mut udp((GUEST, 9999), (REMOTE, 53), b""), 7, later),
        Verdict::Send(REMOTE)
    );
    assert_eq!(nat.connections(), 1);
    nat.forget(GUEST);
    assert_eq!(nat.connections(), 0);
}

#[test]
fn what_is_forgotten_is_one_guests() {
    let mut nat = nat();
    let others = [GUEST.to_bits() - 1, GUEST.to_bits() + 1].map(Ipv4Addr::from_bits);
    for guest in [others[0], GUEST, others[1]] {
        for port in [0, 1, u16::MAX] {
            let packets = [
                udp((guest, port), (REMOTE, u16::MAX), b""),
                tcp((guest, port), (REMOTE, 0), SYN),
                echo(8, guest, REMOTE, port),
            ];
            for (mut packet, number) in packets.into_iter().zip(1..) {
                let random = u32::from(port) + guest.to_bits() + number;
                assert_eq!(nat.outbound(&mut packet, random, NOW), Verdict::Send(REMOTE));
            }
        }
    }
    nat.forget(GUEST);
    assert_eq!(nat.connections(), 18);
    others.into_iter().for_each(|guest| nat.forget(guest));
    assert_eq!(nat.connections(), 0);
}

#[test]
fn another_address_outside_ends_all_connections() {
    let mut nat = nat();
    let mut packet = udp((GUEST, 9999), (REMOTE, 53), b"");
    assert_eq!(nat.outbound(&mut packet, 7, NOW), Verdict::Send(REMOTE));
    nat.set_outside(Some(OUTSIDE));
    assert_eq!(nat.connections(), 1);
    nat.set_outside(None);
    assert_eq!(nat.connections(), 0);
    let verdict = nat.outbound(&mut packet, 7, NOW);
    assert_eq!(verdict, Verdict::Refuse(Refusal::NoAddress));
}

proptest! {
    #[test]
    fn sums_are_right_and_answers_find_back(
        flows in prop::collection::vec(
            (0..3u8, 2..9u8, any::<u16>(), 1..250u8, any::<u16>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..9)),
            1..60,
        ),
    ) {
        let mut nat = nat();
        let mut seen = std::collections::BTreeMap::new();
        for (kind, guest, port, remote, remote_port, random, data) in flows {
            let guest = (Ipv4Addr::new(10, 0, 0, guest), port);
            let remote = (Ipv4Addr::new(8, 8, 8, remote), remote_port);
            let make = |from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), is_answer: bool| match kind {
                0 => tcp(from, to, if is_answer { SYN_ACK } else { SYN }),
                1 => udp(from, to, &data),
                _ if is_answer => echo(0, from.0, to.0, to.1),
                _ => echo(8, from.0, to.0, from.1),
            };
            let mut packet = make(guest, remote, false);
            prop_assert_eq!(nat.outbound(&mut packet, random, NOW), Verdict::Send(remote.0));
            assert_sums(&packet);
            let (from, to) = ends(&packet);
            let key = (kind, from, if kind == 2 { (to.0, 0) } else { to });
            let meant = if kind == 2 { (remote.0, 0) } else { remote };
            prop_assert_eq!(*seen.entry(key).or_insert((guest, meant)), (guest, meant));
            let mut answer = make(to, from, true);
            prop_assert_eq!(nat.inbound(&mut answer, NOW), Verdict::Send(guest.0));
            assert_sums(&answer);
            prop_assert_eq!(ends(&answer).1, guest);
        }
    }

    #[test]
    fn any_packet_is_survived(
        kind in 0..3u8,
        changes in prop::collection::vec((0..60usize, any::<u8>()), 0..8),
        len in 0..80usize,
    ) {
        let mut nat = nat();
        let _ = nat.outbound(&mut udp((GUEST, 1), (REMOTE, 2), b""), 7, NOW);
        let inner = udp((OUTSIDE, 0x8007), (REMOTE, 2), b"");
        let mut packet = match kind {
            0 => tcp((GUEST, 1), (REMOTE, 2), SYN),
            1 => ip(1, REMOTE, OUTSIDE, &[&[3, 0, 0, 0, 0, 0, 0, 0][..], &inner].concat()),
            _ => udp((REMOTE, 2), (OUTSIDE, 0x8007), b"abc"),
        };
        for (at, value) in changes {
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        packet.truncate(len);
        let _ = nat.inbound(&mut packet.clone(), NOW);
        let _ = nat.outbound(&mut packet, 7, NOW);
        prop_assert!(nat.connections() <= 2);
    }
}
