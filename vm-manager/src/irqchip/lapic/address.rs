//! Which local APICs a message is for (SDM volume 3A, 11.6.2 and 11.12.10).

use super::LocalApic;
use super::mode::Mode;
use crate::irqchip::apic_message::{Delivery, Destination, Message};

/// What decides whether a message is for a local APIC: a copy, so that no two APICs need be locked at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Address {
    mode: Mode,
    id: u32,
    logical: u32,
    is_flat: bool,
    priority: u8,
    accepts_vectors: bool,
}

impl Address {
    /// Whether a message to `destination` is for this APIC.
    #[must_use]
    pub const fn matches(&self, destination: Destination) -> bool {
        match (destination, self.mode) {
            (_, Mode::Disabled) => false,
            (Destination::Broadcast, _) => true,
            (Destination::Physical(id), _) => id == self.id,
            (Destination::Logical(id), Mode::X2Apic) => {
                id >> 16 == self.logical >> 16 && id & self.logical & 0xffff != 0
            }
            (Destination::Logical(id), Mode::XApic) if self.is_flat => id & self.logical != 0,
            (Destination::Logical(id), Mode::XApic) => {
                id >> 4 == self.logical >> 4 && id & self.logical & 0xf != 0
            }
        }
    }
}

/// The set of those of `addresses`, of which there are 64 at most, that `message` is for: bit by place.
/// Where one of several has to be chosen, it is the first with the lowest priority of those that are enabled.
pub fn targets(message: &Message, addresses: impl IntoIterator<Item = Address>) -> u64 {
    let mut chosen: Option<(u8, u32)> = None;
    let mut all = 0;
    for (place, address) in (0..u64::BITS).zip(addresses) {
        if !address.matches(message.destination) {
            continue;
        }
        all |= 1 << place;
        if address.accepts_vectors && chosen.is_none_or(|(least, _)| address.priority < least) {
            chosen = Some((address.priority, place));
        }
    }
    match message.delivery {
        Delivery::LowestPriority => chosen.map_or(0, |(_, place)| 1 << place),
        Delivery::Fixed
        | Delivery::Smi
        | Delivery::Nmi
        | Delivery::Init
        | Delivery::Startup
        | Delivery::External => all,
    }
}

impl LocalApic {
    /// What decides which messages are for this APIC.
    #[must_use]
    pub fn address(&self) -> Address {
        let mode = self.mode();
        Address {
            mode,
            id: match mode {
                Mode::X2Apic => self.id,
                Mode::XApic | Mode::Disabled => u32::from(self.xapic_id),
            },
            logical: self.logical_id(),
            is_flat: self.destination_format >> 28 == 0xf,
            priority: self.processor_priority(),
            accepts_vectors: self.is_software_enabled(),
        }
    }

    /// The logical ID, without the shift that the register of an xAPIC has.
    pub(super) fn logical_id(&self) -> u32 {
        match self.mode() {
            Mode::X2Apic => (self.id >> 4) << 16 | 1 << (self.id & 0xf),
            Mode::XApic | Mode::Disabled => self.logical_destination >> 24,
        }
    }
}
