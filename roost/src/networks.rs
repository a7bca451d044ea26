//! The networks of guests (`[[network]]` of `host.toml`): each is a switch, and ports of guests' cards and of others.
//!
//! ```text
//!    guest's card (plugs::net) ─┐                        ┌─ Inbox ─bell▶ guest's vCPU: virtio::net copies into its buffers
//!    host, NAT, card: Plain ────┼─ Network::carry ───────┤
//!                               │    Switch::forward     └─ Inbox ─bell▶ whoever polls Plain::receive
//!                               └─ one copy of the frame, shared by all who get it
//! ```
//!
//! A frame is forwarded by whoever sends it, in his time, and never waits: it is put into the [`inbox`] of each port that it is
//! for, or dropped there, with a count, if that is full. What a receiver has to do (copy it, complete its checksum, cut it
//! into segments) it does when it takes it out. So nobody has to wait for another, and a port costs a bounded amount of memory.
//!
//! # A port for something else than a guest's card
//!
//! ```ignore
//! let network = networks::get().find("lan")?;
//! let mut port = port::Plain::new(network.attach(Request::open("nat"), bell)?);
//! port.send(&frame);                                  // a whole frame, with all its checksums
//! while let Some(len) = port.receive(&mut buf) { .. } // likewise; `bell` rings when there is something after `None`
//! network.allow(mac, address);                        // a lease: the address is that guest's, and nobody else's
//! ```
//!
//! A [`Request::open`] port is trusted: any number of stations may be behind it, and they are learnt. Dropping the port detaches
//! it. `bell` is rung at most once until `receive` has returned `None`.

mod inbox;
mod network;
pub(crate) mod port;

pub(crate) use network::{Network, PortSummary, refusal};
pub(crate) use port::{GuestPort, MTU, PortHandle, Request};

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use hv_core::ram;
use spin::Once;
use virtio::net::packet::Pool;
use vm_manager::host_config::{NetworkConfig, Prefix};

/// What frames leave of the memory that guests may have.
const HEAP_BYTES: u64 = 2 << 20;

static NETWORKS: Once<Networks> = Once::new();

/// All networks; none before [`set_up`].
pub(crate) fn get() -> &'static Networks {
    static NONE: Networks = Networks(Vec::new());
    NETWORKS.get().unwrap_or(&NONE)
}

/// Makes the networks. Called once.
pub(crate) fn set_up(configs: &[NetworkConfig]) {
    // With a little left for the heap, which grows by more than a buffer.
    let pool = Pool::new(|| ram::available().saturating_sub(HEAP_BYTES));
    let network = |config: &NetworkConfig| Network::new(config.clone(), pool.clone());
    NETWORKS.call_once(|| Networks(configs.iter().map(network).collect()));
}

/// The networks.
pub(crate) struct Networks(Vec<Arc<Network>>);

impl Networks {
    /// In the order of the configuration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Network>> {
        self.0.iter()
    }

    /// The network of this name.
    ///
    /// # Errors
    ///
    /// Says which there are.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Network>, String> {
        if let Some(found) = self.iter().find(|network| network.config().name == name) {
            return Ok(found);
        }
        let names: Vec<_> = self.iter().map(|network| network.config().name.as_str()).collect();
        let there = match names.is_empty() {
            true => "there are no networks: host.toml has no [[network]]".into(),
            false => format!("there are {}", names.join(", ")),
        };
        Err(format!("no network '{}': {there}", name.escape_debug()))
    }
}

/// Roost's own address in a network of this subnet.
pub(crate) fn first_address(subnet: Prefix<Ipv4Addr>) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(subnet.bits.into()).unwrap_or(0);
    Ipv4Addr::from_bits((subnet.address.to_bits() & !hosts).saturating_add(1))
}
