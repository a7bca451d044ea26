//! Everything that frames of the host pass: the card, Roost's ports on networks of guests, and translation between them.

use super::card::HostCard;
use super::gateway::{Gateway, Goes};
use crate::networks::port::Plain;
use crate::plugs::Random;
use alloc::vec::Vec;
use hv_core::host;
use net::stack::{Card, Link, Sent};
use net::switch::MacAddr;
use net::time::Instant;
use net::uplink::{Came, Router};

/// The longest frame.
const FRAME_BYTES: usize = hv_core::network::FRAME_BYTES;
/// Frames that are looked at for one that is the stack's.
const MOST_AT_ONCE: usize = 32;

/// Where the host's own stack is.
pub(super) enum Seat {
    /// On the card.
    Card,
    /// On a port of a network that is bridged to the card.
    Port(Plain, MacAddr),
    /// On Roost's port of a host-only network, by its place among the gateways.
    Gateway(usize),
}

/// What frames pass.
pub(super) struct Wire {
    pub(super) card: Option<HostCard>,
    /// The port that the card is of a network, if one is bridged to it.
    pub(super) bridge: Option<Plain>,
    pub(super) seat: Seat,
    pub(super) gateways: Vec<Gateway>,
    pub(super) router: Router,
    pub(super) random: Random,
    /// Whether frames were left where they are, to be moved soon: nobody rings for them again.
    pub(super) has_more: bool,
}

/// Whether all was moved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Moved {
    All,
    /// There may be more.
    Some,
    /// There may be more when the card has sent what it was given, of which it does not tell.
    Full,
}

impl Wire {
    /// Whether somebody takes what the card receives.
    pub(super) fn uses_card(&self) -> bool {
        self.card.is_some() && (self.bridge.is_some() || matches!(self.seat, Seat::Card))
    }

    /// The next frame for the host's stack. What is guests' goes its way.
    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        for _ in 0..MOST_AT_ONCE {
            let len = match &mut self.seat {
                Seat::Card => self.card.as_mut()?.receive(frame)?,
                Seat::Port(port, _) => port.receive(frame)?,
                Seat::Gateway(index) => {
                    let index = *index;
                    return self.receive_at(index, frame);
                }
            };
            let bytes = frame.get_mut(..len)?;
            if self.is_local(bytes) {
                return Some(len);
            }
        }
        self.has_more = true;
        None
    }

    /// Whether a frame from outside is for the host's stack. What is guests' goes its way.
    fn is_local(&mut self, bytes: &mut [u8]) -> bool {
        if let (Seat::Card, Some(bridge), Some(card)) = (&self.seat, &self.bridge, &self.card) {
            let to = bytes.first_chunk().map(|to| MacAddr(*to));
            let is_own = to == Some(card.mac());
            if !is_own {
                bridge.send(bytes);
            }
            if !is_own && to.is_some_and(MacAddr::is_unicast) {
                return false;
            }
        }
        let now = Instant(host::now().0);
        let (seat, card) = (&self.seat, &mut self.card);
        match self.router.inward(bytes, now, |frame| send(seat, card, frame)) {
            Came::Local => true,
            Came::Nowhere => false,
            Came::Guest(guest) => {
                let gateway = self.gateways.iter().find(|gateway| gateway.gate.contains(guest));
                if let Some(gateway) = gateway
                    && gateway.gate.address(guest, bytes)
                {
                    gateway.port.send(bytes);
                }
                false
            }
        }
    }

    /// The next frame for the stack of a gateway.
    fn receive_at(&mut self, index: usize, frame: &mut [u8]) -> Option<usize> {
        let gateway = self.gateways.get_mut(index)?;
        for _ in 0..MOST_AT_ONCE {
            let len = gateway.port.receive(frame)?;
            let bytes = frame.get_mut(..len)?;
            let now = Instant(host::now().0);
            match gateway.judge(bytes, now) {
                Goes::Local => return Some(len),
                Goes::Nowhere => {}
                Goes::Outside(gone) => {
                    gone.into_iter().flatten().for_each(|gone| self.router.forget(gone));
                    let (seat, card) = (&self.seat, &mut self.card);
                    let random = self.random.number();
                    self.router.outward(bytes, random, now, |frame| send(seat, card, frame));
                }
            }
        }
        self.has_more = true;
        None
    }

    /// Moves frames between the card and the network that is bridged to it, but for those that the host's stack receives.
    pub(super) fn pump(&mut self, budget: usize) -> Moved {
        let (Some(card), Some(bridge)) = (&mut self.card, &mut self.bridge) else {
            return Moved::All;
        };
        let mut frame = [0; FRAME_BYTES];
        let mut moved = Moved::All;
        if !matches!(self.seat, Seat::Card) {
            moved = Moved::Some;
            for _ in 0..budget {
                let Some(len) = card.receive(&mut frame) else {
                    moved = Moved::All;
                    break;
                };
                bridge.send(frame.get(..len).unwrap_or_default());
            }
        }
        for _ in 0..budget {
            // Without room for it, a frame stays where it is.
            if !card.can_send() {
                let is_up = card.link() == Link::Up;
                return if is_up && moved == Moved::All { Moved::Full } else { moved };
            }
            let Some(len) = bridge.receive(&mut frame) else { return moved };
            let _ = card.send(frame.get(..len).unwrap_or_default());
        }
        Moved::Some
    }
}

/// Sends a frame from where the host's stack is.
fn send(seat: &Seat, card: &mut Option<HostCard>, frame: &[u8]) {
    match (seat, card) {
        (Seat::Card, Some(card)) => {
            // One that is lost is sent again by whoever misses it.
            let _ = card.send(frame);
        }
        (Seat::Port(port, _), _) => port.send(frame),
        (Seat::Card, None) | (Seat::Gateway(_), _) => {}
    }
}

/// Where the host's stack is, as it sees it.
pub(super) struct HostPort<'a>(pub(super) &'a mut Wire);

impl Card for HostPort<'_> {
    fn mac(&self) -> MacAddr {
        match (&self.0.seat, &self.0.card) {
            (Seat::Card, Some(card)) => card.mac(),
            (Seat::Card, None) => MacAddr([0; 6]),
            (Seat::Port(_, mac), _) => *mac,
            (Seat::Gateway(index), _) => {
                let gateway = self.0.gateways.get(*index);
                gateway.map_or(MacAddr([0; 6]), |gateway| gateway.gate.config().mac)
            }
        }
    }

    fn link(&self) -> Link {
        match (&self.0.seat, &self.0.card) {
            (Seat::Card | Seat::Port(..), Some(card)) => card.link(),
            (Seat::Card, None) => Link::Down,
            (Seat::Port(..), None) | (Seat::Gateway(_), _) => Link::Up,
        }
    }

    fn can_send(&self) -> bool {
        match (&self.0.seat, &self.0.card) {
            (Seat::Card, Some(card)) => card.can_send(),
            (Seat::Card, None) => false,
            (Seat::Port(..) | Seat::Gateway(_), _) => true,
        }
    }

    fn send(&mut self, frame: &[u8]) -> Sent {
        match (&self.0.seat, &mut self.0.card) {
            (Seat::Card, Some(card)) => return card.send(frame),
            (Seat::Card, None) => return Sent::Full,
            (Seat::Port(port, _), _) => port.send(frame),
            (Seat::Gateway(index), _) => {
                if let Some(gateway) = self.0.gateways.get(*index) {
                    gateway.port.send(frame);
                }
            }
        }
        Sent::Yes
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.0.receive(frame)
    }
}

/// Roost's port on a network of guests, as the stack there sees it.
pub(super) struct GatewayPort<'a>(pub(super) &'a mut Wire, pub(super) usize);

impl Card for GatewayPort<'_> {
    fn mac(&self) -> MacAddr {
        let gateway = self.0.gateways.get(self.1);
        gateway.map_or(MacAddr([0; 6]), |gateway| gateway.gate.config().mac)
    }

    fn link(&self) -> Link {
        Link::Up
    }

    fn can_send(&self) -> bool {
        true
    }

    fn send(&mut self, frame: &[u8]) -> Sent {
        if let Some(gateway) = self.0.gateways.get(self.1) {
            gateway.port.send(frame);
        }
        Sent::Yes
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.0.receive_at(self.1, frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::{self, Request};
    use alloc::string::ToString;
    use alloc::sync::Arc;
    use alloc::vec;
    use core::net::Ipv4Addr;
    use vm_manager::host_config::{NetworkConfig, NetworkKind, Prefix};
    use vm_manager::sink::Bell;

    struct Silent;

    impl Bell for Silent {
        fn ring(&self) {}
    }

    #[test]
    fn what_is_left_for_later_is_told() {
        const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
        networks::set_up(&[NetworkConfig {
            name: "nat".to_string(),
            kind: NetworkKind::Nat,
            subnet: Some(Prefix { address: Ipv4Addr::new(10, 9, 0, 0), bits: 24 }),
            dns: None,
            are_guests_apart: false,
            line: 1,
        }]);
        let network = networks::get().find("nat").unwrap();
        let bell: Arc<dyn Bell> = Arc::new(Silent);
        let gateway = Gateway::new(network, MAC, &bell).unwrap().unwrap();
        let mut wire = Wire {
            card: None,
            bridge: None,
            seat: Seat::Card,
            gateways: vec![gateway],
            router: Router::new(Vec::new()),
            random: Random::new(),
            has_more: false,
        };
        let guest = Plain::new(network.attach(Request::open("guest"), bell).unwrap());
        // To elsewhere, from an address that is none of the network's.
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&MAC.0);
        frame[6] = 2;
        frame[12..15].copy_from_slice(&[8, 0, 0x45]);
        let mut buf = [0; FRAME_BYTES];
        for (count, has_more) in [(MOST_AT_ONCE + 1, true), (0, false), (1, false)] {
            (0..count).for_each(|_| guest.send(&frame));
            assert_eq!(wire.receive_at(0, &mut buf), None);
            assert_eq!(core::mem::take(&mut wire.has_more), has_more, "{count}");
        }
    }
}
