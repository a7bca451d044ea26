//! What interrupts what: the task's, the processor's and the arbitration priority, and the way of a
//! vector from request to service to its end (SDM volume 3A, 11.8).

use super::local_vectors::Source;
use super::mode::Mode;
use super::{Effect, ExternalMessage, Interrupt, LocalApic, SUPPRESS_EOI_BROADCAST};
use crate::irqchip::apic_message::Delivery;
use hv_core::guest::Level;

/// The priority class of a vector or a priority.
const CLASS: u8 = 0xf0;

impl LocalApic {
    /// The task priority: bits 7 to 4 are `CR8`.
    #[must_use]
    pub fn task_priority(&self) -> u8 {
        self.task_priority
    }

    /// Sets the task priority, as a write of `CR8` does with its value in bits 7 to 4.
    pub fn set_task_priority(&mut self, priority: u8) {
        self.task_priority = priority;
    }

    /// The processor priority (11.8.3.1): only vectors of a higher class interrupt.
    #[inline]
    #[must_use]
    pub fn processor_priority(&self) -> u8 {
        let served = self.in_service.highest().unwrap_or(0) & CLASS;
        if self.task_priority & CLASS >= served { self.task_priority } else { served }
    }

    /// The arbitration priority, of CPUs that had one (11.6.2.4).
    pub(super) fn arbitration_priority(&self) -> u8 {
        let class = |vector: Option<u8>| vector.unwrap_or(0) & CLASS;
        let (requested, served) =
            (class(self.requests.highest()), class(self.in_service.highest()));
        let task = self.task_priority & CLASS;
        if task >= requested && task > served {
            self.task_priority
        } else {
            task.max(requested).max(served)
        }
    }

    /// What interrupts the CPU now, if it lets itself be interrupted.
    #[inline]
    #[must_use]
    pub fn pending(&self) -> Option<Interrupt> {
        if self.is_external_pending() {
            return Some(Interrupt::External);
        }
        let vector = self.requests.highest()?;
        (vector & CLASS > self.processor_priority() & CLASS).then_some(Interrupt::Vector(vector))
    }

    /// The 8259 pair is subject to no priority (11.8.1), and has the CPU to itself while the APIC is
    /// disabled.
    fn is_external_pending(&self) -> bool {
        if self.external == ExternalMessage::Waits {
            return true;
        }
        if self.lint0 == Level::Low {
            return false;
        }
        let entry = self.local.get(Source::Lint0);
        self.mode() == Mode::Disabled
            || (!entry.is_masked() && entry.delivery() == Some(Delivery::External))
    }

    /// The CPU takes `vector`, which [`pending`](Self::pending) said: it is in service now.
    #[inline]
    pub fn acknowledge(&mut self, vector: u8) {
        self.requests.remove(vector);
        self.in_service.insert(vector);
    }

    /// The CPU takes what the 8259 pair says.
    pub fn acknowledge_external(&mut self) {
        self.external = ExternalMessage::None;
    }

    /// The guest has ended what it serves: of what is in service, the most urgent.
    #[inline]
    pub(super) fn end_of_interrupt(&mut self) -> Effect {
        let Some(vector) = self.in_service.highest() else { return Effect::None };
        self.in_service.remove(vector);
        if !self.levels.contains(vector) {
            return Effect::None;
        }
        self.local.end(vector);
        self.offer_lint0();
        if self.spurious & SUPPRESS_EOI_BROADCAST == 0 {
            Effect::EndOfInterrupt(vector)
        } else {
            Effect::None
        }
    }
}
