//! Whatever guests ask for, each has one address at most, no address is two guests', and an answer is no longer than it may be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::dhcp_server::{Change, DhcpConfig, DhcpServer};
use net::switch::MacAddr;
use net::time::Instant;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const LEASE: Duration = Duration::from_secs(60);
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Without the header of IP and that of UDP.
const LONGEST: usize = 1472;

/// A guest's message: kind, the address that it wants and the one that it has, and more options as they are.
#[derive(arbitrary::Arbitrary, Debug)]
struct Step {
    guest: u8,
    kind: u8,
    wanted: u8,
    own: u8,
    server: u8,
    seconds: u16,
    options: Vec<u8>,
    raw: Option<Vec<u8>>,
}

fn mac(number: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, number % 8])
}

/// As RFC 2131, figure 1, has it.
fn message(step: &Step) -> Vec<u8> {
    let address = |last| [10, 0, 0, last];
    let own = if step.own == 0 { [0; 4] } else { address(step.own) };
    let mut bytes = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
    bytes.extend(own);
    bytes.extend([0; 12]);
    bytes.extend(mac(step.guest).0);
    bytes.resize(236, 0);
    bytes.extend(COOKIE);
    bytes.extend([53, 1, step.kind % 10]);
    if step.wanted != 0 {
        bytes.extend([50, 4]);
        bytes.extend(address(step.wanted));
    }
    if step.server != 0 {
        bytes.extend([54, 4]);
        bytes.extend(address(step.server));
    }
    bytes.extend(&step.options);
    bytes.push(255);
    bytes
}

fuzz_target!(|steps: Vec<Step>| {
    let mut server = DhcpServer::new(DhcpConfig {
        server: SERVER,
        prefix: 24,
        first: Ipv4Addr::new(10, 0, 0, 1),
        last: Ipv4Addr::new(10, 0, 0, 5),
        lease: LEASE,
        gateway: Some(SERVER),
        name_servers: vec![SERVER; 5],
    })
    .unwrap();
    let mut now = Instant(1);
    // What those must know who keep guests from using others' addresses.
    let mut told: BTreeMap<MacAddr, Ipv4Addr> = BTreeMap::new();
    for step in steps {
        now = now + Duration::from_secs(u64::from(step.seconds) % 90);
        for over in server.expire(now) {
            told.retain(|_, address| *address != over);
        }
        let bytes = step.raw.clone().unwrap_or_else(|| message(&step));
        let outcome = server.receive(mac(step.guest), &bytes, now);
        match outcome.change {
            Change::None => {}
            Change::Leased(address) => {
                assert_ne!(address, SERVER);
                told.insert(mac(step.guest), address);
            }
            Change::Released(address) => {
                assert_eq!(told.remove(&mac(step.guest)), Some(address));
            }
        }
        if let Some((_, answer)) = outcome.answer {
            assert!(answer.len() <= LONGEST);
        }
        let leases: BTreeMap<_, _> =
            server.leases().map(|lease| (lease.mac, lease.address)).collect();
        assert_eq!(leases, told);
        let mut addresses: Vec<_> = leases.values().collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), leases.len());
    }
});
