//! A VM's network cards, each on a port of one of the networks. A card keeps its port as long as there is its VM.

use super::{Slot, Wires, activity, again};
use crate::networks::{self, GuestPort, MTU, Network, PortHandle, Request};
use ::net::switch::{Error, Isolation, MacAddr};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use virtio::net::{Net, Setup, Statistics};
use vm_manager::config::NetConfig;
use vm_manager::plug::{Activity, Again, Handle, Order, Plug, Plugged, Socket};

/// How many addresses are tried for a card that has none of its own.
const TRIES: u32 = 256;

pub(super) struct NetPlug {
    port: PortHandle,
    mac: MacAddr,
    wires: Wires,
}

impl NetPlug {
    pub(super) fn new(order: &Order<'_>, config: &NetConfig, index: usize) -> Result<Self, String> {
        let problem = |problem: String| order.config.error_in_net(config, &problem).to_string();
        let network = networks::get().find(&config.network).map_err(problem)?;
        let (mac, port) = attach(order, config, network, index)
            .map_err(|(error, mac)| problem(networks::refusal(error, &config.network, mac)))?;
        Ok(Self { port, mac, wires: Wires::new(order) })
    }
}

/// Gets a port, with the configured address or one that is made up.
fn attach(
    order: &Order<'_>,
    config: &NetConfig,
    network: &Arc<Network>,
    index: usize,
) -> Result<(MacAddr, PortHandle), (Error, MacAddr)> {
    let label = format!("{} net{index}", order.config.name);
    let isolation = match network.config().are_guests_apart {
        true => Isolation::Isolated,
        false => Isolation::None,
    };
    let attach = |mac| {
        let request = Request::guest(label.clone(), mac, config.rate, isolation);
        network
            .attach(request, Arc::clone(&order.bell))
            .map(|port| (mac, port))
            .map_err(|error| (error, mac))
    };
    if let Some(mac) = config.mac {
        return attach(MacAddr(mac));
    }
    let mut result = Err((Error::Full, MacAddr::BROADCAST));
    for number in 0..TRIES {
        result = attach(made_up(&order.config.name, index, number));
        match result {
            // Of a VM of the same name.
            Err((Error::MacInUse, _)) => {}
            Ok(_) | Err(_) => break,
        }
    }
    result
}

/// The address of a card: the same each time for the same name, in the range that is free for such use and that of QEMU.
fn made_up(name: &str, index: usize, number: u32) -> MacAddr {
    // FNV-1a.
    let hash = name
        .bytes()
        .chain([0, index as u8])
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [_, a, b, c] = hash.wrapping_add(number).to_be_bytes();
    MacAddr([0x52, 0x54, 0x00, a, b, c])
}

impl Plug for NetPlug {
    fn name(&self) -> &'static str {
        "virtio net"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let Self { port, mac, wires } = *self;
        let card = Net::new(Setup { mac: mac.0, mtu: MTU }, GuestPort(port));
        let statistics = card.statistics();
        let slot = Slot::new(card, wires.with(socket));
        let device = Arc::clone(&slot.device);
        Ok(Plugged { device, handle: Arc::new(NetHandle { slot, statistics }) })
    }
}

struct NetHandle {
    slot: Slot<Net<GuestPort>>,
    statistics: Arc<Statistics>,
}

impl Handle for NetHandle {
    fn go_on(&self) -> Again {
        let mut device = self.slot.device.lock();
        let received = device.call(|card, context| card.receive(context));
        match (again(received), again(device.poll())) {
            (Again::No, Again::No) => Again::No,
            (Again::Yes, _) | (_, Again::Yes) => Again::Yes,
        }
    }

    fn activity(&self) -> Activity {
        let mut activity = activity(&self.slot.record);
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let refused = self.statistics.refused().map(|(why, times)| (why.text(), count(times)));
        activity.faults.extend(refused);
        let others = [
            ("commands that were refused", self.statistics.commands_refused()),
            ("frames longer than the buffers for them", self.statistics.no_room()),
        ];
        let others = others.into_iter().filter(|(_, times)| *times != 0);
        activity.faults.extend(others.map(|(what, times)| (what, count(times))));
        activity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_made_up_stays_the_same_and_differs_from_others() {
        assert_eq!(made_up("linux", 0, 0), made_up("linux", 0, 0));
        assert_ne!(made_up("linux", 0, 0), made_up("linux", 1, 0));
        assert_ne!(made_up("linux", 0, 0), made_up("linux2", 0, 0));
        assert_ne!(made_up("linux", 0, 0), made_up("linux", 0, 1));
        assert!(made_up("x", 255, u32::MAX).is_unicast());
    }
}
