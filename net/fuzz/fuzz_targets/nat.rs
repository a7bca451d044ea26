//! Whatever packets come, from guests and from outside, connections are bounded and nothing goes where it must not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use net::dhcp_server::{DhcpConfig, DhcpServer};
use net::nat::{Nat, NatConfig, Redirect, Verdict};
use net::switch::MacAddr;
use net::time::Instant;
use std::net::Ipv4Addr;
use std::time::Duration;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 9);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fuzz_target!(|packets: Vec<(u8, u32, Vec<u8>)>| {
    let redirect = Redirect { from: (GATEWAY, 53), to: (Ipv4Addr::new(9, 9, 9, 9), 53) };
    let mut nat = Nat::new(NatConfig { forbidden: Vec::new(), redirects: vec![redirect] });
    nat.set_outside(Some(OUTSIDE));
    let mut dhcp = DhcpServer::new(DhcpConfig {
        server: GATEWAY,
        prefix: 24,
        first: Ipv4Addr::new(10, 0, 0, 2),
        last: Ipv4Addr::new(10, 0, 0, 9),
        lease: Duration::from_secs(60),
        gateway: Some(GATEWAY),
        name_servers: vec![GATEWAY],
    })
    .unwrap();
    for (now, (kind, random, mut packet)) in (0..).zip(packets) {
        let now = Instant(now << 34);
        let before = nat.connections();
        match kind % 3 {
            0 => {
                if let Verdict::Send(to) = nat.outbound(&mut packet, random, now) {
                    assert!(to != OUTSIDE && !to.is_multicast() && !to.is_loopback());
                    assert_eq!(packet[12..16], OUTSIDE.octets());
                }
            }
            1 => {
                let _ = nat.inbound(&mut packet, now);
                assert!(nat.connections() <= before);
            }
            _ => drop(dhcp.receive(MAC, &packet, now)),
        }
        assert!(dhcp.leases().count() <= 1);
    }
});
