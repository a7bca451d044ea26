//! The networks of guests in the shell's words.

use crate::networks::{Network, PortSummary};
use alloc::format;
use alloc::string::ToString;
use net::switch::Refusal;
use shell::host::{Count, SwitchPort, SwitchSummary};
use vm_manager::host_config::NetworkKind;

pub(super) fn summary(network: &Network) -> SwitchSummary {
    let config = network.config();
    SwitchSummary {
        name: config.name.clone(),
        kind: match config.kind {
            NetworkKind::Isolated => "isolated",
            NetworkKind::HostOnly => "host-only",
            NetworkKind::Bridged => "bridged",
            NetworkKind::Nat => "nat",
        },
        subnet: config.subnet.map(|subnet| format!("{}/{}", subnet.address, subnet.bits)),
        isolates: config.are_guests_apart,
        lost_frames: network.lost_frames(),
        ports: network.ports().into_iter().map(port).collect(),
    }
}

fn port(port: PortSummary) -> SwitchPort {
    let counters = port.counters;
    let refused = Refusal::ALL.into_iter().map(|why| (why.name(), counters.refused(why)));
    let refused = refused.filter(|(_, count)| *count != 0);
    SwitchPort {
        name: port.label,
        mac: port.mac.map(|mac| mac.to_string()),
        addresses: port.addresses.iter().map(ToString::to_string).collect(),
        learnt: port.learnt.iter().map(|learnt| learnt.mac.to_string()).collect(),
        sent_frames: counters.sent.frames,
        sent_bytes: counters.sent.bytes,
        received_frames: counters.received.frames,
        received_bytes: counters.received.bytes,
        dropped_frames: counters.dropped.frames,
        dropped_bytes: counters.dropped.bytes,
        refused: refused.map(|(name, count)| Count { name: name.into(), count }).collect(),
    }
}
