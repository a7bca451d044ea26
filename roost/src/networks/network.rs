//! One network: a switch, and who is at its ports.

use super::inbox::{Inbox, Put};
use super::port::{PortHandle, Request};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_core::host;
use hv_core::sync::Mutex;
use net::switch::{
    Attachment, Counters, Error, Learnt, MacAddr, PortId, Switch, SwitchConfig, Verdict,
};
use net::time::Instant;
use virtio::net::packet::{Packet, Pool};
use vm_manager::host_config::NetworkConfig;
use vm_manager::sink::Bell;

/// What is at a port.
struct Seat {
    id: PortId,
    label: String,
    inbox: Arc<Inbox>,
}

/// The seats, by the places of their ports. They are not changed but replaced, so that a frame finds them without a lock.
type Seats = Arc<Vec<Option<Arc<Seat>>>>;

/// Taken by whoever sends, for a moment; nothing is called with it held.
struct State {
    switch: Switch,
    seats: Seats,
}

/// A network.
pub(crate) struct Network {
    config: NetworkConfig,
    state: Mutex<State>,
    pool: Pool,
    /// Frames that there was no memory for. Relaxed: it stands for itself.
    lost: AtomicU64,
}

/// A port, for listings.
pub(crate) struct PortSummary {
    /// What is there.
    pub(crate) label: String,
    /// The address of a guest.
    pub(crate) mac: Option<MacAddr>,
    /// The IP addresses that it has.
    pub(crate) addresses: Vec<IpAddr>,
    /// Stations that were learnt there.
    pub(crate) learnt: Vec<Learnt>,
    pub(crate) counters: Counters,
}

fn now() -> Instant {
    Instant(host::now().0)
}

impl Network {
    pub(super) fn new(config: NetworkConfig, pool: Pool) -> Arc<Self> {
        // Roost's own address, if it has one here: the first of the network (host.toml).
        let own = config.subnet.map(|subnet| IpAddr::V4(super::first_address(subnet)));
        let switch = Switch::new(&SwitchConfig { reserved: own.into_iter().collect() });
        let state = Mutex::new(State { switch, seats: Seats::default() });
        Arc::new(Self { config, state, pool, lost: AtomicU64::new(0) })
    }

    /// What it is.
    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Adds a port. `bell` rings when something has come for it.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub(crate) fn attach(
        self: &Arc<Self>,
        request: Request,
        bell: Arc<dyn Bell>,
    ) -> Result<PortHandle, Error> {
        let Request { label, config } = request;
        let inbox = Arc::new(Inbox::new(bell));
        let mut state = self.state.lock();
        let id = state.switch.attach(config, now())?;
        let seat = Arc::new(Seat { id, label, inbox: Arc::clone(&inbox) });
        let mut seats = Vec::clone(&state.seats);
        seats.resize(seats.len().max(id.index() + 1), None);
        if let Some(place) = seats.get_mut(id.index()) {
            *place = Some(seat);
        }
        state.seats = Arc::new(seats);
        drop(state);
        Ok(PortHandle::new(Arc::clone(self), id, inbox))
    }

    pub(super) fn detach(&self, id: PortId) {
        let mut state = self.state.lock();
        state.switch.detach(id);
        let mut seats = Vec::clone(&state.seats);
        if let Some(place) = seats.get_mut(id.index())
            && place.as_ref().is_some_and(|seat| seat.id == id)
        {
            *place = None;
        }
        state.seats = Arc::new(seats);
        drop(state);
        // Ports come and go seldom: what is needed of it is soon there again.
        self.pool.shrink();
    }

    /// Takes a frame of `len` bytes that begins with `head` to where it belongs. It is made by `make` if anybody gets it.
    pub(super) fn carry(
        &self,
        from: PortId,
        (head, len): (&[u8], usize),
        make: impl FnOnce(&Pool) -> Option<Packet>,
    ) {
        let mut state = self.state.lock();
        let Verdict::Forward(to) = state.switch.forward(from, head, len, now()) else { return };
        let seats = Arc::clone(&state.seats);
        drop(state);
        let Some(packet) = make(&self.pool) else {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let packet = Arc::new(packet);
        for index in to.iter() {
            let Some(seat) = seats.get(index).and_then(Option::as_ref) else { continue };
            let put = seat.inbox.put(Arc::clone(&packet));
            let mut state = self.state.lock();
            match put {
                Put::Kept => state.switch.delivered(index, len),
                Put::Dropped => state.switch.dropped(index, len),
            }
        }
    }

    /// A frame that was given to the port found no room behind it.
    pub(super) fn lost(&self, at: PortId, bytes: usize) {
        self.state.lock().switch.dropped(at.index(), bytes);
    }

    /// The address is that of the guest with this MAC address from now on: a lease.
    ///
    /// # Errors
    ///
    /// There is no such guest, or the address is another's.
    pub(crate) fn allow(&self, mac: MacAddr, address: IpAddr) -> Result<(), Error> {
        let mut state = self.state.lock();
        let id = guest_at(&state.switch, mac).ok_or(Error::NoPort)?;
        state.switch.allow(id, address)
    }

    /// The host has these addresses now, which no guest may have, and has those no more.
    pub(crate) fn reserve(&self, now: &[IpAddr], before: &[IpAddr]) {
        let mut state = self.state.lock();
        for address in before {
            state.switch.unreserve(*address);
        }
        for address in now {
            state.switch.reserve(*address);
        }
    }

    /// The lease has ended.
    pub(crate) fn disallow(&self, mac: MacAddr, address: IpAddr) {
        let mut state = self.state.lock();
        if let Some(id) = guest_at(&state.switch, mac) {
            state.switch.disallow(id, address);
        }
    }

    /// Frames that there was no memory for.
    pub(crate) fn lost_frames(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Its ports.
    pub(crate) fn ports(&self) -> Vec<PortSummary> {
        let state = self.state.lock();
        let learnt: Vec<Learnt> = state.switch.learnt(now()).collect();
        let summary = |(id, attachment, counters): (PortId, &Attachment, Counters)| {
            let seat = state.seats.get(id.index()).and_then(Option::as_ref);
            PortSummary {
                label: seat.map_or_else(String::new, |seat| seat.label.clone()),
                mac: match attachment {
                    Attachment::Guest(guard) => Some(guard.mac),
                    Attachment::Open => None,
                },
                addresses: state.switch.addresses(id),
                learnt: learnt.iter().filter(|at| at.port == id.index()).copied().collect(),
                counters,
            }
        };
        state.switch.ports().map(summary).collect()
    }
}

fn guest_at(switch: &Switch, mac: MacAddr) -> Option<PortId> {
    let is_it = |attachment: &Attachment| matches!(attachment, Attachment::Guest(guard) if guard.mac == mac);
    switch.ports().find(|(_, attachment, _)| is_it(attachment)).map(|(id, ..)| id)
}

/// Why there is no port, in words.
pub(crate) fn refusal(error: Error, network: &str, mac: MacAddr) -> String {
    match error {
        Error::Full => format!("all ports of network '{network}' are taken"),
        Error::MacInUse => format!("another card on network '{network}' has the address {mac}"),
        Error::NotUnicast => format!("{mac} is not the address of a card"),
        Error::AddressInUse | Error::NoPort => "the address is in use".to_string(),
    }
}
