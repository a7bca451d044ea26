//! Roost's port on a network of guests, of the kinds host-only and nat.

use crate::networks::port::Plain;
use crate::networks::{self, Network, Request};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use net::dhcp_server::Change;
use net::stack::{Ipv4Config, Ipv6Config, StackConfig};
use net::switch::MacAddr;
use net::time::Instant;
use net::uplink::{Dhcp, Gate, GateConfig, Outward, Way};
use vm_manager::host_config::{NetworkKind, Prefix};
use vm_manager::sink::Bell;

/// How often it is looked whether leases have ended.
const EXPIRY: Duration = Duration::from_secs(5);

/// A port and what is behind it.
pub(super) struct Gateway {
    pub(super) network: Arc<Network>,
    pub(super) port: Plain,
    pub(super) gate: Gate,
    next_expiry: Instant,
}

/// What becomes of a frame.
pub(super) enum Goes {
    /// It is for the stack.
    Local,
    /// Its packet goes outside. These addresses are no guest's any more.
    Outside([Option<Ipv4Addr>; 2]),
    /// It goes nowhere, or has been answered.
    Nowhere,
}

impl Gateway {
    /// Takes a port on a network. `None` if it is of a kind without.
    ///
    /// # Errors
    ///
    /// Why it cannot be had.
    pub(super) fn new(
        network: &Arc<Network>,
        mac: MacAddr,
        bell: &Arc<dyn Bell>,
    ) -> Result<Option<Self>, String> {
        let config = network.config();
        let outward = match config.kind {
            NetworkKind::Nat => Outward::Routed,
            NetworkKind::HostOnly => Outward::None,
            NetworkKind::Isolated | NetworkKind::Bridged => return Ok(None),
        };
        let Some(subnet) = config.subnet else { return Ok(None) };
        let address = networks::first_address(subnet);
        let gate = GateConfig { mac, address, prefix: subnet.bits, outward };
        let problem = |why: &str| format!("network '{}' has no Roost: {why}", config.name);
        let gate = Gate::new(gate).map_err(|_| problem("it has too few addresses"))?;
        let port = network
            .attach(Request::open("roost"), Arc::clone(bell))
            .map_err(|error| problem(&networks::refusal(error, &config.name, mac)))?;
        let network = Arc::clone(network);
        Ok(Some(Self { network, port: Plain::new(port), gate, next_expiry: Instant(0) }))
    }

    /// The addresses of the stack on it.
    pub(super) fn stack_config(&self) -> StackConfig {
        let GateConfig { address, prefix, .. } = self.gate.config();
        StackConfig {
            ipv4: Ipv4Config::Static { address, prefix, gateway: None },
            ipv6: Ipv6Config::Off,
        }
    }

    /// The addresses that it gives out, and its own.
    pub(super) fn subnet(&self) -> Prefix<Ipv4Addr> {
        let GateConfig { address, prefix, .. } = self.gate.config();
        Prefix { address, bits: prefix }
    }

    /// A frame has come from a guest. What is for the DHCP server is answered.
    pub(super) fn judge(&mut self, bytes: &[u8], now: Instant) -> Goes {
        self.expire(now);
        match self.gate.receive(bytes, now) {
            Way::Local => Goes::Local,
            Way::Nowhere => Goes::Nowhere,
            Way::Outside(gone) => Goes::Outside(gone),
            Way::Dhcp(dhcp) => {
                self.lease(&dhcp);
                if let Some(answer) = &dhcp.answer {
                    self.port.send(answer);
                }
                Goes::Nowhere
            }
        }
    }

    /// Tells the switch whose an address is.
    fn lease(&self, dhcp: &Dhcp) {
        if let Some(before) = dhcp.before {
            self.network.disallow(dhcp.client, IpAddr::V4(before));
        }
        match dhcp.change {
            Change::None => {}
            Change::Leased(address) => {
                if self.network.allow(dhcp.client, IpAddr::V4(address)).is_err() {
                    log::warn!(
                        "network '{}': {} has a lease of {address}, which another one has",
                        self.network.config().name,
                        dhcp.client
                    );
                }
            }
            Change::Released(address) => {
                self.network.disallow(dhcp.client, IpAddr::V4(address));
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        if now < self.next_expiry {
            return;
        }
        self.next_expiry = now + EXPIRY;
        let leases: alloc::vec::Vec<_> = self.gate.dhcp().leases().collect();
        for address in self.gate.expire(now) {
            if let Some(lease) = leases.iter().find(|lease| lease.address == address) {
                self.network.disallow(lease.mac, IpAddr::V4(address));
            }
        }
    }
}
