//! The interrupt command register: messages to other local APICs (SDM volume 3A, 11.6.1).

use super::error::ErrorBit;
use super::{Effect, FIRST_LEGAL_VECTOR, LocalApic};
use crate::irqchip::apic_message::{Delivery, Destination, Message, Trigger};

/// Which APICs of those that a message matches are meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// All.
    Everybody,
    /// All but the sender.
    Others,
}

const LEVEL_ASSERT: u32 = 1 << 14;
const TRIGGER_LEVEL: u32 = 1 << 15;

impl LocalApic {
    /// Sends what the low half of the command says to `destination`, if the shorthand has no other.
    pub(super) fn send(&mut self, low: u32, destination: Destination) -> Effect {
        let vector = low as u8;
        let delivery = match Delivery::from_bits(low) {
            Some(Delivery::External) | None => return Effect::None,
            // The de-assertion of INIT is for APICs of long ago, which took it as a synchronization.
            Some(Delivery::Init) if low & LEVEL_ASSERT == 0 && low & TRIGGER_LEVEL != 0 => {
                return Effect::None;
            }
            Some(
                delivery @ (Delivery::Fixed
                | Delivery::LowestPriority
                | Delivery::Smi
                | Delivery::Nmi
                | Delivery::Init
                | Delivery::Startup),
            ) => delivery,
        };
        if delivery.is_vectored() && vector < FIRST_LEGAL_VECTOR {
            self.raise_error(ErrorBit::SendIllegalVector);
            return Effect::None;
        }
        let message =
            |destination| Message { destination, delivery, vector, trigger: Trigger::Edge };
        match (low >> 18) & 3 {
            0 => Effect::Send { message: message(destination), scope: Scope::Everybody },
            // To itself, only a vector can be sent (table 11-3).
            1 if delivery == Delivery::Fixed => {
                // It waits, or is illegal, which is noted.
                let _ = self.request(vector, Trigger::Edge);
                Effect::None
            }
            1 => Effect::None,
            2 => Effect::Send { message: message(Destination::Broadcast), scope: Scope::Everybody },
            _ => Effect::Send { message: message(Destination::Broadcast), scope: Scope::Others },
        }
    }
}
