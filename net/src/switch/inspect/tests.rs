//! What frames say, as the manuals draw them.

use super::*;
use proptest::prelude::*;

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const V6_TWO: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

fn frame(kind: u16, packet: &[u8]) -> Vec<u8> {
    [&[0xff; 6][..], &OWN.0, &kind.to_be_bytes(), packet].concat()
}

fn says(kind: u16, packet: &[u8]) -> Says {
    inspect(&frame(kind, packet), OWN)
}

fn arp_packet(mac: MacAddr, sender: Ipv4Addr) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac.0, &sender.octets(), &[0; 10]].concat()
}

fn v4_packet(sender: Ipv4Addr, protocol: u8, piece: u16, payload: &[u8]) -> Vec<u8> {
    let piece = piece.to_be_bytes();
    let fixed = [0x45, 0, 0, 0, 0, 0, piece[0], piece[1], 64, protocol, 0, 0];
    [&fixed[..], &sender.octets(), &[10, 0, 0, 9], payload].concat()
}

fn v6_packet(sender: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x60, 0, 0, 0, 0, 0, next, 255][..], &sender.octets(), &V6_TWO.octets(), payload].concat()
}

fn advertisement(target: Ipv6Addr, option: &[u8]) -> Vec<u8> {
    [&[136, 0, 0, 0, 0, 0, 0, 0][..], &target.octets(), option].concat()
}

fn option(kind: u8, mac: MacAddr) -> Vec<u8> {
    [&[kind, 1][..], &mac.0].concat()
}

#[test]
fn arp_says_whose_address_it_is() {
    assert_eq!(says(ARP, &arp_packet(OWN, V4)), Says::Sender(V4.into()));
    assert_eq!(says(ARP, &arp_packet(OTHER, V4)), Says::OtherStation);
    assert_eq!(says(ARP, &arp_packet(OWN, Ipv4Addr::UNSPECIFIED)), Says::Nothing);
    assert_eq!(says(ARP, &arp_packet(OWN, V4)[..27]), Says::Malformed);
    assert_eq!(says(ARP, &arp_packet(OWN, Ipv4Addr::BROADCAST)), Says::Malformed);
    assert_eq!(says(0x8035, &arp_packet(OTHER, V4)), Says::Nothing);
}

#[test]
fn an_ipv4_packet_is_its_senders_unless_it_is_a_dhcp_servers() {
    let (server, client) = ([0, 67, 0, 68], [0, 68, 0, 67]);
    assert_eq!(says(IPV4, &v4_packet(V4, 6, 0, &[])), Says::Sender(V4.into()));
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0, &client)), Says::Sender(V4.into()));
    assert_eq!(says(IPV4, &v4_packet(Ipv4Addr::UNSPECIFIED, UDP, 0, &client)), Says::Nothing);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0, &server)), Says::Server);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0x2000, &server)), Says::Server);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 5, &server)), Says::Sender(V4.into()));
    // Clients look at their own port only, wherever an answer comes from.
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0, &[16, 0, 0, 68])), Says::Server);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0, &[0, 68, 0, 68])), Says::Server);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0, &[0])), Says::Hidden);
    assert_eq!(says(IPV4, &v4_packet(V4, UDP, 0x2000, &[16, 0, 0])), Says::Hidden);
    assert_eq!(says(IPV4, &v4_packet(Ipv4Addr::LOCALHOST, 6, 0, &[])), Says::Malformed);
}

#[test]
fn options_do_not_hide_a_dhcp_server() {
    let mut packet = v4_packet(V4, UDP, 0, &[1, 1, 1, 1, 0, 67, 0, 68]);
    packet[0] = 0x46;
    assert_eq!(says(IPV4, &packet), Says::Server);
    packet[0] = 0x44;
    assert_eq!(says(IPV4, &packet), Says::Malformed);
}

#[test]
fn neighbour_discovery_says_whose_address_it_is() {
    let own = option(2, OWN);
    let good = v6_packet(V6, ICMPV6, &advertisement(V6_TWO, &own));
    assert_eq!(says(IPV6, &good), Says::Senders(V6.into(), V6_TWO.into()));
    let of_other = v6_packet(V6, ICMPV6, &advertisement(V6, &option(2, OTHER)));
    assert_eq!(says(IPV6, &of_other), Says::OtherStation);
    let without = v6_packet(Ipv6Addr::UNSPECIFIED, ICMPV6, &advertisement(V6, &[]));
    assert_eq!(says(IPV6, &without), Says::Malformed);
    let mut ask = advertisement(V6_TWO, &option(1, OWN));
    ask[0] = 135;
    assert_eq!(says(IPV6, &v6_packet(V6, ICMPV6, &ask)), Says::Sender(V6.into()));
    assert_eq!(says(IPV6, &v6_packet(Ipv6Addr::UNSPECIFIED, ICMPV6, &ask)), Says::Nothing);
    for (kind, units) in [(1, 0), (14, 9)] {
        let odd = v6_packet(V6, ICMPV6, &advertisement(V6, &[kind, units, 0, 0, 0, 0, 0, 0]));
        assert!(matches!(says(IPV6, &odd), Says::Malformed | Says::Hidden));
    }
}

#[test]
fn options_after_the_head_are_not_overlooked() {
    let options = [[14, 1, 0, 0, 0, 0, 0, 0].repeat(30), option(2, OTHER)].concat();
    let bytes = frame(IPV6, &v6_packet(V6, ICMPV6, &advertisement(V6, &options)));
    assert_eq!(inspect(&bytes, OWN), Says::OtherStation);
    let cut = inspect(&bytes[..HEAD_BYTES], OWN);
    assert!(matches!(cut, Says::Hidden | Says::Malformed), "{cut:?}");
}

#[test]
fn routers_and_servers_are_told() {
    for kind in [134, 137] {
        assert_eq!(says(IPV6, &v6_packet(V6, ICMPV6, &[kind; 24])), Says::Server);
    }
    assert_eq!(says(IPV6, &v6_packet(V6, UDP, &[2, 35, 2, 34])), Says::Server);
    assert_eq!(says(IPV6, &v6_packet(V6, UDP, &[16, 0, 2, 34])), Says::Server);
    assert_eq!(says(IPV6, &v6_packet(V6, UDP, &[2, 34, 2, 35])), Says::Sender(V6.into()));
}

#[test]
fn extension_headers_hide_nothing() {
    let redirect = [137; 24];
    let behind = |headers: &[u8], first| {
        says(IPV6, &v6_packet(V6, first, &[headers, &redirect[..]].concat()))
    };
    assert_eq!(behind(&[58, 0, 0, 0, 0, 0, 0, 0], 0), Says::Hidden);
    assert_eq!(behind(&[60, 0, 0, 0, 0, 0, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0], 60), Says::Hidden);
    assert_eq!(behind(&[58, 0, 0, 1, 0, 0, 0, 0], 44), Says::Hidden);
    assert_eq!(behind(&[58, 255, 0, 0, 0, 0, 0, 0], 60), Says::Hidden);
    assert_eq!(behind(&[58, 0], 51), Says::Hidden);
    // Another piece of a packet, and a report of groups (RFC 3810), are what they look like.
    assert_eq!(behind(&[58, 0, 0, 9, 0, 0, 0, 0], 44), Says::Sender(V6.into()));
    let report = [58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(says(IPV6, &v6_packet(V6, 0, &report)), Says::Sender(V6.into()));
}

#[test]
fn tags_and_snap_are_hiding() {
    for kind in [0x8100, 0x88a8, 0x9100, 0, 46, 1500] {
        assert_eq!(says(kind, &[0xaa; 40]), Says::Hidden, "{kind:#x}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(
        kind in prop::sample::select(vec![IPV4, IPV6, ARP, 0x8100, 0x1234]),
        first in prop::sample::select(vec![0x45u8, 0x4f, 0x60, 0]),
        next in prop::sample::select(vec![0u8, 6, 17, 43, 44, 51, 58, 60]),
        mut packet in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(60), Just(58)], 10..300),
    ) {
        (packet[0], packet[6]) = (first, next);
        let bytes = frame(kind, &packet);
        for len in 0..bytes.len() {
            let _ = inspect(&bytes[..len], OWN);
        }
    }
}
