//! Ports: what they are, and what they have counted.

use super::address::MacAddr;
use super::forward::Refusal;
use crate::bucket::Rate;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Ports of a switch.
pub const MAX_PORTS: usize = 64;

/// A port that was attached. It is never the same as one that is attached later in its place.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PortId {
    pub(super) index: u8,
    pub(super) generation: u32,
}

impl PortId {
    /// Its place: less than [`MAX_PORTS`], and that of no other port at the same time.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.index)
    }
}

/// A set of ports.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortSet(pub(super) u64);

impl PortSet {
    /// Whether the port at the place `index` is among them.
    #[must_use]
    pub fn contains(self, index: usize) -> bool {
        index < MAX_PORTS && self.0 >> index & 1 != 0
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The places of the ports, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_PORTS).filter(move |index| self.contains(*index))
    }

    pub(super) fn insert(&mut self, index: usize) {
        if index < MAX_PORTS {
            self.0 |= 1 << index;
        }
    }
}

/// What a port is.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// What is behind it.
    pub attachment: Attachment,
    /// Whom it reaches.
    pub isolation: Isolation,
    /// The longest frame that it sends, without checksum: 1514, or what its offloads allow.
    pub longest_frame: usize,
    /// How much it may send.
    pub rates: Rates,
}

/// What is behind a port.
#[derive(Clone, Debug)]
pub enum Attachment {
    /// Any number of stations that are not ours to judge: the host itself, a card. Their addresses are learnt.
    Open,
    /// A guest.
    Guest(Guard),
}

/// What a guest may claim to be.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The address of its only station.
    pub mac: MacAddr,
    /// Its IP addresses.
    pub addresses: Addresses,
}

/// The IP addresses of a guest.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// Those that it uses first, of those that are not reserved; a bounded number, and each until it was not used for a while.
    FirstCome,
    /// These, those that are [allowed](super::Switch::allow) later, and the link-local one that its MAC address gives.
    Only(Vec<IpAddr>),
}

/// Whom a port reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isolation {
    /// All ports.
    None,
    /// Those that are not isolated.
    Isolated,
}

/// What a port may send; `None` is as much as it likes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Bytes.
    pub bytes: Option<Rate>,
    /// Frames.
    pub frames: Option<Rate>,
    /// Frames that go to more than one port.
    pub floods: Option<Rate>,
}

/// Frames, and their bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// How many.
    pub frames: u64,
    /// How long they were together.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, bytes: usize) {
        self.frames = self.frames.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

/// What a port has counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// What it sent into the switch and was forwarded.
    pub sent: Traffic,
    /// What the switch gave it.
    pub received: Traffic,
    /// What was for it and had no room.
    pub dropped: Traffic,
    refused: [u64; Refusal::COUNT],
}

impl Counters {
    /// Frames that it sent and that were refused for this reason.
    #[must_use]
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or(0)
    }

    pub(super) fn refuse(&mut self, why: Refusal) {
        if let Some(count) = self.refused.get_mut(why as usize) {
            *count = count.saturating_add(1);
        }
    }
}
