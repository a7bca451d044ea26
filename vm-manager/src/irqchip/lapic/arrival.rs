//! What comes in: messages, the pins, and what happens in the CPU itself.

use super::error::ErrorBit;
use super::local_vectors::{LocalVector, Source};
use super::mode::Mode;
use super::{ExternalMessage, FIRST_LEGAL_VECTOR, LocalApic};
use crate::irqchip::apic_message::{Delivery, Message, Trigger};
use hv_core::guest::Level;
use hv_core::time::Instant;

/// What became of something that came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Reception {
    /// Nothing: it is not taken.
    Refused,
    /// It waits in the APIC: see [`LocalApic::pending`].
    Waits,
    /// The vCPU gets an NMI.
    Nmi,
    /// The vCPU gets a system management interrupt.
    Smi,
    /// The vCPU is to be reset, and to wait for a start-up.
    Init,
    /// A vCPU that waits for it is to start in real mode, at this page of 4 KiB.
    Startup(u8),
}

/// An interrupt pin of the CPU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lint {
    /// `LINT0`: the 8259 pair, and `INTR` while the APIC is disabled.
    Zero,
    /// `LINT1`: the NMI.
    One,
}

impl LocalApic {
    /// Takes a message which is for this APIC.
    pub fn receive(&mut self, message: &Message) -> Reception {
        let is_open = self.is_software_enabled();
        match (self.mode(), message.delivery) {
            (Mode::Disabled, _) => Reception::Refused,
            (_, Delivery::Fixed | Delivery::LowestPriority) if is_open => {
                self.request(message.vector, message.trigger)
            }
            (_, Delivery::External) if is_open => {
                self.external = ExternalMessage::Waits;
                Reception::Waits
            }
            (_, Delivery::Fixed | Delivery::LowestPriority | Delivery::External) => {
                Reception::Refused
            }
            // These come in also if software has disabled it (11.4.7.2).
            (_, Delivery::Smi) => Reception::Smi,
            (_, Delivery::Nmi) => Reception::Nmi,
            (_, Delivery::Init) => Reception::Init,
            (_, Delivery::Startup) => Reception::Startup(message.vector),
        }
    }

    /// Accepts `vector` into the IRR.
    pub(super) fn request(&mut self, vector: u8, trigger: Trigger) -> Reception {
        if vector < FIRST_LEGAL_VECTOR {
            self.raise_error(ErrorBit::ReceiveIllegalVector);
            return Reception::Refused;
        }
        self.requests.insert(vector);
        match trigger {
            Trigger::Edge => self.levels.remove(vector),
            Trigger::Level => self.levels.insert(vector),
        }
        Reception::Waits
    }

    /// Drives a pin.
    pub fn set_lint(&mut self, lint: Lint, level: Level) -> Reception {
        let (wire, source) = match lint {
            Lint::Zero => (&mut self.lint0, Source::Lint0),
            Lint::One => (&mut self.lint1, Source::Lint1),
        };
        let has_risen = level == Level::High && *wire == Level::Low;
        *wire = level;
        match (has_risen, self.mode(), lint) {
            (false, _, _) => Reception::Refused,
            (true, Mode::Disabled, Lint::Zero) => Reception::Waits,
            (true, Mode::Disabled, Lint::One) => Reception::Nmi,
            (true, Mode::XApic | Mode::X2Apic, _) => self.fire(source),
        }
    }

    /// Something happened that has an entry in the local vector table.
    pub(super) fn fire(&mut self, source: Source) -> Reception {
        let entry = self.local.get(source);
        if entry.is_masked() {
            return Reception::Refused;
        }
        match entry.delivery() {
            Some(Delivery::Fixed) => self.fire_vector(source, entry),
            Some(Delivery::Nmi) => Reception::Nmi,
            Some(Delivery::Smi) => Reception::Smi,
            Some(Delivery::Init) => Reception::Init,
            // As long as the pin is high: see `pending`.
            Some(Delivery::External) => Reception::Waits,
            Some(Delivery::LowestPriority | Delivery::Startup) | None => Reception::Refused,
        }
    }

    /// Only `LINT0` knows levels (11.5.1, "Trigger Mode").
    fn fire_vector(&mut self, source: Source, entry: LocalVector) -> Reception {
        if source != Source::Lint0 || !entry.is_level() {
            return self.request(entry.vector(), Trigger::Edge);
        }
        if entry.0 & LocalVector::REMOTE_IRR != 0 {
            return Reception::Refused;
        }
        let reception = self.request(entry.vector(), Trigger::Level);
        if reception == Reception::Waits {
            self.local.await_end(source);
        }
        reception
    }

    /// Offers a level at `LINT0` again, after its entry changed or its interrupt ended.
    pub(super) fn offer_lint0(&mut self) {
        let entry = self.local.get(Source::Lint0);
        if self.lint0 == Level::High
            && entry.is_level()
            && !entry.is_masked()
            && entry.delivery() == Some(Delivery::Fixed)
        {
            // What it comes to, `pending` says.
            let _ = self.fire_vector(Source::Lint0, entry);
        }
    }

    pub(super) fn set_local(&mut self, source: Source, value: u32, now: Instant) {
        let forced = if self.is_software_enabled() { 0 } else { LocalVector::MASKED };
        self.local.set(source, value | forced);
        match source {
            Source::Timer => self.timer.set_mode(self.local.get(source).timer_mode(), now),
            Source::Lint0 => self.offer_lint0(),
            Source::Thermal | Source::Performance | Source::Lint1 | Source::Error => {}
        }
    }
}
