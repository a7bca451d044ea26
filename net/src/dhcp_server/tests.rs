//! Clients, and those who would like all addresses.

use super::*;
use proptest::prelude::*;

const NOW: Instant = Instant(1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const ZERO: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LEASE: Duration = Duration::from_secs(3600);

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number])
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn config() -> DhcpConfig {
    DhcpConfig {
        server: SERVER,
        prefix: 24,
        first: address(1),
        last: address(5),
        lease: LEASE,
        gateway: Some(SERVER),
        name_servers: vec![SERVER; 9],
    }
}

fn server() -> DhcpServer {
    DhcpServer::new(config()).unwrap()
}

fn message(
    kind: DhcpMessageType,
    from: MacAddr,
    wanted: Option<Ipv4Addr>,
    has: Ipv4Addr,
) -> Vec<u8> {
    let message = DhcpRepr {
        message_type: kind,
        transaction_id: 77,
        secs: 0,
        client_hardware_address: EthernetAddress(from.0),
        client_ip: has,
        your_ip: ZERO,
        server_ip: ZERO,
        router: None,
        subnet_mask: None,
        relay_agent_ip: ZERO,
        broadcast: false,
        requested_ip: wanted,
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
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
    bytes
}

/// What is answered: its kind, the address in it, and the change.
fn ask(
    server: &mut DhcpServer,
    kind: DhcpMessageType,
    number: u8,
    wanted: Option<u8>,
    now: Instant,
) -> (Option<(DhcpMessageType, Ipv4Addr)>, Change) {
    let bytes = message(kind, mac(number), wanted.map(address), ZERO);
    let outcome = server.receive(mac(number), &bytes, now);
    let read = |(_, bytes): (Destination, Vec<u8>)| {
        assert!(bytes.len() >= SHORTEST);
        let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
        let answer = DhcpRepr::parse(&packet).unwrap();
        assert_eq!((answer.transaction_id, answer.server_identifier), (77, Some(SERVER)));
        (answer.message_type, answer.your_ip)
    };
    (outcome.answer.map(read), outcome.change)
}

use DhcpMessageType as Kind;

#[test]
fn a_client_gets_an_address_and_keeps_it() {
    let mut server = server();
    // The first is the server's own.
    let offer = ask(&mut server, Kind::Discover, 1, None, NOW);
    assert_eq!(offer, (Some((Kind::Offer, address(2))), Change::None));
    let lease = ask(&mut server, Kind::Request, 1, Some(2), NOW);
    assert_eq!(lease, (Some((Kind::Ack, address(2))), Change::Leased(address(2))));
    let again = ask(&mut server, Kind::Discover, 1, Some(4), NOW);
    assert_eq!(again.0, Some((Kind::Offer, address(2))));
    let renewal = message(Kind::Request, mac(1), None, address(2));
    let later = NOW + LEASE / 2;
    let (to, _) = server.receive(mac(1), &renewal, later).answer.unwrap();
    assert_eq!(to, Destination::Client(address(2)));
    assert_eq!(server.leases().map(|lease| lease.until).collect::<Vec<_>>(), [later + LEASE]);
    assert!(server.expire(later + LEASE / 2).is_empty());
    assert_eq!(server.expire(later + LEASE), [address(2)]);
}

#[test]
fn an_answer_has_what_a_client_needs() {
    let request = message(Kind::Discover, mac(1), None, ZERO);
    let (to, bytes) = server().receive(mac(1), &request, NOW).answer.unwrap();
    assert_eq!(to, Destination::Client(address(2)));
    let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
    let answer = DhcpRepr::parse(&packet).unwrap();
    assert_eq!(answer.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!((answer.router, answer.lease_duration), (Some(SERVER), Some(3600)));
    assert_eq!(answer.dns_servers.unwrap().len(), 3);
}

#[test]
fn what_another_has_is_refused() {
    let mut server = server();
    ask(&mut server, Kind::Request, 1, Some(3), NOW);
    let refused = (Some((Kind::Nak, ZERO)), Change::None);
    assert_eq!(ask(&mut server, Kind::Request, 2, Some(3), NOW), refused);
    assert_eq!(ask(&mut server, Kind::Request, 2, Some(1), NOW), refused);
    assert_eq!(ask(&mut server, Kind::Request, 2, Some(9), NOW), refused);
    // And one that is not wanted any more is another's.
    let release = message(Kind::Release, mac(1), None, address(3));
    assert_eq!(server.receive(mac(2), &release, NOW), IGNORED);
    assert_eq!(server.receive(mac(1), &release, NOW).change, Change::Released(address(3)));
    let lease = ask(&mut server, Kind::Request, 2, Some(3), NOW);
    assert_eq!(lease.1, Change::Leased(address(3)));
}

#[test]
fn a_lease_that_has_ended_is_nobody_elses_until_that_was_told() {
    let mut server = server();
    ask(&mut server, Kind::Request, 1, Some(3), NOW);
    let later = NOW + LEASE;
    assert_eq!(ask(&mut server, Kind::Request, 2, Some(3), later).1, Change::None);
    // Not even if its client asks, and then does not take it.
    ask(&mut server, Kind::Discover, 1, Some(3), later);
    assert_eq!(server.expire(later), [address(3)]);
    let lease = ask(&mut server, Kind::Request, 2, Some(3), later);
    assert_eq!(lease.1, Change::Leased(address(3)));
}

#[test]
fn one_station_gets_one_address_and_cannot_ask_for_others() {
    let mut server = server();
    for number in 2..=5 {
        ask(&mut server, Kind::Request, 1, Some(number), NOW);
        ask(&mut server, Kind::Discover, 1, None, NOW);
        assert_eq!(server.leases.len(), 1);
    }
    let of_other = message(Kind::Discover, mac(9), None, ZERO);
    assert_eq!(server.receive(mac(1), &of_other, NOW), IGNORED);
}

#[test]
fn an_address_that_was_declined_rests_and_is_one_for_each_station() {
    let mut server = server();
    ask(&mut server, Kind::Request, 1, Some(2), NOW);
    assert_eq!(ask(&mut server, Kind::Decline, 1, Some(2), NOW).1, Change::Released(address(2)));
    let offer = ask(&mut server, Kind::Discover, 1, Some(2), NOW);
    assert_eq!(offer.0, Some((Kind::Offer, address(3))));
    for number in [3, 4, 5] {
        ask(&mut server, Kind::Request, 1, Some(number), NOW);
        ask(&mut server, Kind::Decline, 1, Some(number), NOW);
    }
    assert_eq!(
        ask(&mut server, Kind::Discover, 2, Some(2), NOW).0,
        Some((Kind::Offer, address(2)))
    );
    assert!(server.expire(NOW + DECLINED).is_empty());
    assert!(server.leases.is_empty());
}

#[test]
fn a_pool_that_is_used_up_answers_nothing_until_an_offer_lapses() {
    let mut server = server();
    for number in 1..=4 {
        assert!(ask(&mut server, Kind::Discover, number, None, NOW).0.is_some());
    }
    assert_eq!(ask(&mut server, Kind::Discover, 9, None, NOW), (None, Change::None));
    assert!(ask(&mut server, Kind::Discover, 9, None, NOW + OFFER).0.is_some());
}

#[test]
fn strange_pools_are_refused() {
    let with = |change: fn(&mut DhcpConfig)| {
        let mut config = config();
        change(&mut config);
        DhcpServer::new(config).map(|_| ())
    };
    assert_eq!(with(|_| {}), Ok(()));
    assert_eq!(with(|config| config.first = address(6)), Err(BadPool::Range));
    assert_eq!(with(|config| config.first = address(0)), Err(BadPool::Range));
    assert_eq!(with(|config| config.last = address(255)), Err(BadPool::Range));
    assert_eq!(with(|config| config.last = Ipv4Addr::new(10, 0, 9, 1)), Err(BadPool::Range));
    assert_eq!(with(|config| config.prefix = 31), Err(BadPool::Range));
    assert_eq!(
        with(|config| (config.prefix, config.last) = (8, Ipv4Addr::new(10, 9, 0, 1))),
        Err(BadPool::Range)
    );
}

proptest! {
    #[test]
    fn no_address_is_of_two(steps in prop::collection::vec((1..9u8, 1..9u8, 0..8u8, 0..2000u64), 0..100)) {
        let mut server = server();
        let mut now = NOW;
        let mut owners = BTreeMap::new();
        for (kind, number, wanted, seconds) in steps {
            now = now + Duration::from_secs(seconds);
            for over in server.expire(now) {
                prop_assert!(owners.remove(&over).is_some());
            }
            let bytes = message(kind.into(), mac(number), (wanted != 0).then(|| address(wanted)), address(wanted));
            match server.receive(mac(number), &bytes, now).change {
                Change::None => {}
                Change::Leased(address) => {
                    owners.retain(|_, owner| *owner != number);
                    prop_assert!(owners.insert(address, number).is_none());
                }
                Change::Released(address) => prop_assert_eq!(owners.remove(&address), Some(number)),
            }
            prop_assert!(server.leases.len() <= 5);
        }
    }

    #[test]
    fn any_payload_is_survived(mut bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0..300usize, value in any::<u8>()) {
        let mut server = server();
        server.receive(mac(1), &bytes, NOW);
        bytes = message(Kind::Discover, mac(1), Some(address(3)), ZERO);
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        server.receive(mac(1), &bytes, NOW);
    }
}
