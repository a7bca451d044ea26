//! No frame reaches a port that it must not.

use super::*;
use crate::bucket::Rate;
use crate::switch::Rates;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const NOW: Instant = Instant(1);
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

fn address(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number))
}

fn config(attachment: Attachment) -> PortConfig {
    PortConfig {
        attachment,
        isolation: Isolation::None,
        longest_frame: 1514,
        rates: Rates::default(),
    }
}

fn guest(number: u8) -> PortConfig {
    config(Attachment::Guest(Guard { mac: mac(number), addresses: Addresses::FirstCome }))
}

fn switch() -> Switch {
    Switch::new(&SwitchConfig { reserved: vec![GATEWAY] })
}

/// A frame that says nothing about IP addresses.
fn plain(to: MacAddr, from: MacAddr) -> Vec<u8> {
    [&to.0[..], &from.0, &[0x12, 0x34], &[0; 46]].concat()
}

fn arp(from: MacAddr, sender: IpAddr) -> Vec<u8> {
    let IpAddr::V4(sender) = sender else { panic!("not IPv4") };
    let head = [&[0xff; 6][..], &from.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &from.0].concat();
    [&head[..], &sender.octets(), &[0; 28]].concat()
}

fn send(switch: &mut Switch, from: PortId, frame: &[u8]) -> Verdict {
    switch.forward(from, frame, frame.len(), NOW)
}

/// The places that a frame goes to.
fn places(verdict: Verdict) -> Vec<usize> {
    match verdict {
        Verdict::Forward(to) => to.iter().collect(),
        Verdict::Refuse(_) => Vec::new(),
    }
}

#[test]
fn unicast_goes_to_its_station_and_broadcast_to_all_others() {
    let mut switch = switch();
    let ports = [1, 2, 3].map(|n| switch.attach(guest(n), NOW).unwrap());
    assert_eq!(places(send(&mut switch, ports[0], &plain(mac(3), mac(1)))), [2]);
    assert_eq!(places(send(&mut switch, ports[1], &plain(MacAddr::BROADCAST, mac(2)))), [0, 2]);
    assert_eq!(
        send(&mut switch, ports[0], &plain(mac(1), mac(1))),
        Verdict::Refuse(Refusal::Nobody)
    );
    let counters = switch.counters(ports[0]).unwrap();
    assert_eq!((counters.sent.frames, counters.sent.bytes), (1, 60));
    assert_eq!(counters.refused(Refusal::Nobody), 1);
}

#[test]
fn a_station_behind_a_card_is_learnt_and_others_never_reach_a_guest() {
    let mut switch = switch();
    let one = switch.attach(guest(1), NOW).unwrap();
    let card = switch.attach(config(Attachment::Open), NOW).unwrap();
    let host = switch.attach(config(Attachment::Open), NOW).unwrap();
    assert_eq!(places(send(&mut switch, one, &plain(mac(9), mac(1)))), [1, 2]);
    assert_eq!(places(send(&mut switch, card, &plain(mac(1), mac(9)))), [0]);
    assert_eq!(places(send(&mut switch, one, &plain(mac(9), mac(1)))), [1]);
    assert_eq!(places(send(&mut switch, host, &plain(mac(8), mac(7)))), [1]);
    assert_eq!(send(&mut switch, card, &plain(mac(9), mac(1))), Verdict::Refuse(Refusal::Mac));
    assert_eq!(switch.learnt(NOW).map(|learnt| learnt.port).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn an_address_that_a_guest_gets_is_no_longer_where_it_was_learnt() {
    let mut switch = switch();
    let card = switch.attach(config(Attachment::Open), NOW).unwrap();
    send(&mut switch, card, &plain(MacAddr::BROADCAST, mac(1)));
    let one = switch.attach(guest(1), NOW).unwrap();
    assert_eq!(switch.learnt(NOW).count(), 0);
    assert_eq!(switch.attach(guest(1), NOW), Err(Error::MacInUse));
    assert_eq!(switch.attach(guest(0xff), NOW).map(PortId::index), Ok(2));
    let group = Guard { mac: MacAddr::BROADCAST, addresses: Addresses::FirstCome };
    let group = config(Attachment::Guest(group));
    assert_eq!(switch.attach(group, NOW), Err(Error::NotUnicast));
    switch.detach(one);
    assert_eq!(switch.attach(guest(1), NOW).map(PortId::index), Ok(1));
}

#[test]
fn what_was_detached_is_nobody_even_when_its_place_is_taken() {
    let mut switch = switch();
    let (one, two) = (switch.attach(guest(1), NOW).unwrap(), switch.attach(guest(2), NOW).unwrap());
    switch.detach(one);
    switch.detach(one);
    assert_eq!(send(&mut switch, two, &plain(mac(1), mac(2))), Verdict::Refuse(Refusal::Nobody));
    let three = switch.attach(guest(3), NOW).unwrap();
    assert_eq!(three.index(), one.index());
    let frame = plain(mac(2), mac(3));
    assert_eq!(send(&mut switch, one, &frame), Verdict::Refuse(Refusal::Nobody));
    assert_eq!(places(send(&mut switch, three, &frame)), [1]);
    switch.detach(one);
    assert!(switch.counters(one).is_none() && switch.counters(three).is_some());
}

#[test]
fn isolated_ports_do_not_reach_each_other() {
    let mut switch = switch();
    let isolated = |number| PortConfig { isolation: Isolation::Isolated, ..guest(number) };
    let one = switch.attach(isolated(1), NOW).unwrap();
    let _two = switch.attach(isolated(2), NOW).unwrap();
    let host = switch.attach(config(Attachment::Open), NOW).unwrap();
    assert_eq!(send(&mut switch, one, &plain(mac(2), mac(1))), Verdict::Refuse(Refusal::Nobody));
    assert_eq!(places(send(&mut switch, one, &plain(MacAddr::BROADCAST, mac(1)))), [2]);
    assert_eq!(places(send(&mut switch, host, &plain(MacAddr::BROADCAST, mac(9)))), [0, 1]);
}

#[test]
fn nobody_is_the_gateway_or_another_guest() {
    let mut switch = switch();
    let (one, two) = (switch.attach(guest(1), NOW).unwrap(), switch.attach(guest(2), NOW).unwrap());
    let refused = Verdict::Refuse(Refusal::Address);
    assert_eq!(send(&mut switch, one, &arp(mac(1), GATEWAY)), refused);
    assert_eq!(places(send(&mut switch, one, &arp(mac(1), address(1)))), [1]);
    assert_eq!(send(&mut switch, two, &arp(mac(2), address(1))), refused);
    assert_eq!(switch.allow(two, address(2)), Ok(()));
    assert_eq!(switch.allow(one, address(2)), Err(Error::AddressInUse));
    assert_eq!(send(&mut switch, one, &arp(mac(1), address(2))), refused);
    switch.disallow(two, address(2));
    assert_eq!(places(send(&mut switch, one, &arp(mac(1), address(2)))), [1]);
    assert_eq!(switch.counters(one).unwrap().refused(Refusal::Address), 2);
}

#[test]
fn a_guest_with_fixed_addresses_has_no_others() {
    let mut switch = switch();
    let fixed = |number, addresses| {
        let addresses = Addresses::Only(addresses);
        config(Attachment::Guest(Guard { mac: mac(number), addresses }))
    };
    let one = switch.attach(fixed(1, vec![address(1)]), NOW).unwrap();
    let host = switch.attach(config(Attachment::Open), NOW).unwrap();
    assert_eq!(places(send(&mut switch, one, &arp(mac(1), address(1)))), [host.index()]);
    let refused = Verdict::Refuse(Refusal::Address);
    assert_eq!(send(&mut switch, one, &arp(mac(1), address(2))), refused);
    let taken = fixed(2, vec![address(2), address(1)]);
    assert_eq!(switch.attach(taken, NOW), Err(Error::AddressInUse));
    // Nothing remains of one that failed.
    assert_eq!(switch.attach(fixed(3, vec![address(2)]), NOW).map(PortId::index), Ok(2));
    assert_eq!(mac(1).link_local().to_string(), "fe80::ff:fe00:1");
}

#[test]
fn what_a_port_sends_too_much_goes_nowhere() {
    let mut switch = switch();
    let rate = |burst| Some(Rate { per_second: 1, burst });
    let rates = Rates { bytes: rate(600), frames: rate(9), floods: rate(3) };
    let one = switch.attach(PortConfig { rates, ..guest(1) }, NOW).unwrap();
    let _two = switch.attach(guest(2), NOW).unwrap();
    let flood = plain(MacAddr::BROADCAST, mac(1));
    let count = |switch: &mut Switch, frame: &[u8]| {
        (0..6).filter(|_| !places(send(switch, one, frame)).is_empty()).count()
    };
    assert_eq!(count(&mut switch, &flood), 3);
    assert_eq!(count(&mut switch, &plain(mac(2), mac(1))), 3);
    let counters = switch.counters(one).unwrap();
    assert_eq!((counters.refused(Refusal::FloodRate), counters.refused(Refusal::Rate)), (3, 3));
}

#[test]
fn frames_of_no_possible_length_go_nowhere() {
    let mut switch = switch();
    let one = switch.attach(guest(1), NOW).unwrap();
    let _two = switch.attach(guest(2), NOW).unwrap();
    let frame = plain(mac(2), mac(1));
    for (head, len) in [(0, 0), (13, 13), (13, 60), (14, 13), (60, 1515), (60, usize::MAX)] {
        let verdict = switch.forward(one, &frame[..head], len, NOW);
        assert_eq!(verdict, Verdict::Refuse(Refusal::Length), "{head} {len}");
    }
    assert_eq!(places(switch.forward(one, &frame, 1514, NOW)), [1]);
}

#[test]
fn there_are_no_more_ports_than_there_can_be() {
    let mut switch = switch();
    for number in 0..MAX_PORTS {
        assert_eq!(switch.attach(guest(number as u8), NOW).map(PortId::index), Ok(number));
    }
    assert_eq!(switch.attach(guest(100), NOW), Err(Error::Full));
    let frame = plain(MacAddr::BROADCAST, mac(0));
    let first = switch.ports().next().unwrap().0;
    assert_eq!(places(send(&mut switch, first, &frame)).len(), MAX_PORTS - 1);
}

/// What a test knows of a port.
#[derive(Clone, Copy, Debug)]
struct Kind {
    is_guest: bool,
    is_isolated: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Attach(u8, Kind),
    Detach(usize),
    Send { from: usize, to: u8, source: u8, body: Body },
}

#[derive(Clone, Debug)]
enum Body {
    Plain,
    Arp(u8),
    Noise(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = (any::<bool>(), any::<bool>())
        .prop_map(|(is_guest, is_isolated)| Kind { is_guest, is_isolated });
    let body = prop_oneof![
        Just(Body::Plain),
        (1..6u8).prop_map(Body::Arp),
        prop::collection::vec(any::<u8>(), 2..80).prop_map(Body::Noise),
    ];
    prop_oneof![
        1 => (1..9u8, kind).prop_map(|(number, kind)| Step::Attach(number, kind)),
        1 => (0..8usize).prop_map(Step::Detach),
        12 => (0..8usize, 0..10u8, 1..10u8, body)
            .prop_map(|(from, to, source, body)| Step::Send { from, to, source, body }),
    ]
}

proptest! {
    #[test]
    fn no_frame_reaches_a_port_that_it_must_not(steps in prop::collection::vec(step(), 1..120)) {
        let mut switch = switch();
        let mut ports: Vec<(PortId, u8, Kind)> = Vec::new();
        // Who has used an address, by the test's own account.
        let mut owners: std::collections::BTreeMap<u8, PortId> = Default::default();
        for step in steps {
            match step {
                Step::Attach(number, kind) => {
                    let attachment = if kind.is_guest {
                        Attachment::Guest(Guard { mac: mac(number), addresses: Addresses::FirstCome })
                    } else {
                        Attachment::Open
                    };
                    let isolation = if kind.is_isolated { Isolation::Isolated } else { Isolation::None };
                    let attached = switch.attach(PortConfig { isolation, ..config(attachment) }, NOW);
                    let is_taken = ports.iter().any(|(_, has, of)| of.is_guest && *has == number);
                    prop_assert_eq!(attached.is_err(), kind.is_guest && is_taken);
                    ports.extend(attached.map(|id| (id, number, kind)));
                }
                Step::Detach(which) if which < ports.len() => {
                    let (id, ..) = ports.swap_remove(which);
                    switch.detach(id);
                    owners.retain(|_, owner| *owner != id);
                }
                Step::Detach(_) => {}
                Step::Send { from, to, source, body } => {
                    let Some((id, own, kind)) = ports.get(from).copied() else { continue };
                    let destination = if to == 0 { MacAddr::BROADCAST } else { mac(to) };
                    let frame = match &body {
                        Body::Plain => plain(destination, mac(source)),
                        Body::Arp(number) => arp(mac(source), address(*number)),
                        Body::Noise(bytes) => [&destination.0[..], &mac(source).0, bytes].concat(),
                    };
                    let is_broadcast = to == 0 || matches!(body, Body::Arp(_));
                    let reached = places(send(&mut switch, id, &frame));
                    let is_guests = |number| ports.iter().any(|(_, has, of)| of.is_guest && *has == number);
                    if kind.is_guest {
                        prop_assert!(reached.is_empty() || source == own, "spoofed");
                    } else {
                        prop_assert!(reached.is_empty() || !is_guests(source), "a guest's own came back");
                    }
                    if let (Body::Arp(number), true) = (&body, kind.is_guest && !reached.is_empty()) {
                        let owner = *owners.entry(*number).or_insert(id);
                        prop_assert_eq!(owner, id, "an address of two");
                    } else if let (Body::Arp(number), true) = (&body, kind.is_guest && source == own) {
                        // It was heard of all the same.
                        owners.entry(*number).or_insert(id);
                    }
                    for place in reached {
                        let target = ports.iter().find(|(id, ..)| id.index() == place);
                        let (target, number, of) = *target.expect("a port that is not there");
                        prop_assert_ne!(target, id);
                        prop_assert!(!(kind.is_isolated && of.is_isolated));
                        if !is_broadcast && of.is_guest {
                            prop_assert_eq!(number, to);
                        }
                        if !is_broadcast && !of.is_guest {
                            prop_assert!(!is_guests(to));
                        }
                    }
                }
            }
        }
    }
}
