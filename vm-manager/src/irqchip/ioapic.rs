//! The IOAPIC (Intel 290566, "82093AA I/O Advanced Programmable Interrupt Controller"), with the EOI
//! register that later ones have (version 0x20; Intel 333811, "I/O Controller Hub", `EOIR`).
//!
//! Polarity is only remembered: devices say whether they assert their wires, not by which voltage.
//! An edge at an input that is masked is lost, as in the chip. A level that no local APIC accepts is
//! offered again when the input or its entry changes.
//!
//! # Locks
//!
//! None of its own. The client is called while the owner holds the IOAPIC, so the owner's lock comes
//! before those of local APICs; these give their EOIs back as values
//! ([`lapic::Effect`](super::lapic::Effect)), and call nothing.

use super::apic_message::{Delivery, Destination, Message, Trigger};
use hv_core::guest::{Device, Level, Width};
use hv_core::time::Instant;

/// Inputs of an IOAPIC.
pub const PINS: usize = 24;
/// Bytes of its window.
pub const WINDOW_BYTES: u64 = 0x1000;

/// What became of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Acceptance {
    /// A local APIC has it.
    Accepted,
    /// There is none that it is for, or that takes it.
    Refused,
}

/// The way to the local APICs.
pub trait ApicBus: Send {
    /// Delivers `message`. It must not call the IOAPIC.
    fn deliver(&self, message: Message) -> Acceptance;
}

/// The registers that the memory window has (290566, 3.1).
mod window {
    pub(super) const SELECT: u64 = 0x00;
    pub(super) const DATA: u64 = 0x10;
    pub(super) const EOI: u64 = 0x40;
}

/// The registers behind the selector (3.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Id,
    Version,
    Arbitration,
    RedirectionLow(usize),
    RedirectionHigh(usize),
}

impl Register {
    fn at(index: u8) -> Option<Self> {
        match index {
            0 => Some(Self::Id),
            1 => Some(Self::Version),
            2 => Some(Self::Arbitration),
            _ => {
                let half = usize::from(index.checked_sub(0x10)?);
                let pin = half / 2;
                (pin < PINS).then_some(match half % 2 {
                    0 => Self::RedirectionLow(pin),
                    _ => Self::RedirectionHigh(pin),
                })
            }
        }
    }
}

/// The version, and the number of the last entry.
const VERSION: u32 = 0x20 | ((PINS as u32 - 1) << 16);
/// The ID has 4 bits.
const ID: u32 = 0xf << 24;

/// One redirection entry (3.2.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry(u64);

impl Entry {
    const REMOTE_IRR: u64 = 1 << 14;
    const LEVEL: u64 = 1 << 15;
    const MASKED: u64 = 1 << 16;
    const WRITABLE: u64 = 0xff00_0000_0001_afff;
    const RESET: Self = Self(Self::MASKED);

    const fn vector(self) -> u8 {
        self.0 as u8
    }

    const fn trigger(self) -> Trigger {
        if self.0 & Self::LEVEL == 0 { Trigger::Edge } else { Trigger::Level }
    }

    const fn is_masked(self) -> bool {
        self.0 & Self::MASKED != 0
    }

    const fn awaits_eoi(self) -> bool {
        self.0 & Self::REMOTE_IRR != 0
    }

    /// What it sends; `None` if its delivery mode is none of an IOAPIC.
    fn message(self) -> Option<Message> {
        let register = self.0 as u32;
        let delivery = Delivery::from_bits(register).filter(|&mode| mode != Delivery::Startup)?;
        // The others are edges, whatever the entry says (table 3).
        let trigger = if delivery.is_vectored() { self.trigger() } else { Trigger::Edge };
        let destination = Destination::from_byte((self.0 >> 56) as u8, register);
        Some(Message { destination, delivery, vector: self.vector(), trigger })
    }

    /// Writes the bits of `mask`. Switching to edges forgets the interrupt that waits for its end:
    /// drivers end interrupts that way where there is no EOI register.
    fn write(&mut self, value: u64, mask: u64) {
        let mask = mask & Self::WRITABLE;
        self.0 = self.0 & !mask | value & mask;
        if self.trigger() == Trigger::Edge {
            self.0 &= !Self::REMOTE_IRR;
        }
    }
}

/// One IOAPIC.
pub struct IoApic<B> {
    bus: B,
    id: u32,
    selected: u8,
    levels: [Level; PINS],
    entries: [Entry; PINS],
}

impl<B: ApicBus> IoApic<B> {
    /// An IOAPIC after power-on, whose inputs are low.
    pub fn new(bus: B) -> Self {
        Self { bus, id: 0, selected: 0, levels: [Level::Low; PINS], entries: [Entry::RESET; PINS] }
    }

    /// Drives input `pin`; one that does not exist is ignored.
    pub fn set_level(&mut self, pin: usize, level: Level) {
        let Some(old) = self.levels.get_mut(pin) else { return };
        let has_risen = level == Level::High && *old == Level::Low;
        *old = level;
        if has_risen {
            self.offer(pin);
        }
    }

    /// A local APIC has seen the end of the level-triggered interrupt `vector`.
    pub fn end_of_interrupt(&mut self, vector: u8) {
        for pin in 0..PINS {
            let Some(entry) = self.entries.get_mut(pin) else { continue };
            if entry.awaits_eoi() && entry.vector() == vector {
                entry.0 &= !Entry::REMOTE_IRR;
                self.offer_level(pin);
            }
        }
    }

    /// Sends what `pin` has to say if its wire is high.
    fn offer(&mut self, pin: usize) {
        let (Some(entry), Some(Level::High)) = (self.entries.get_mut(pin), self.levels.get(pin))
        else {
            return;
        };
        if entry.is_masked() || entry.awaits_eoi() {
            return;
        }
        let Some(message) = entry.message() else { return };
        let acceptance = self.bus.deliver(message);
        if message.trigger == Trigger::Level && acceptance == Acceptance::Accepted {
            entry.0 |= Entry::REMOTE_IRR;
        }
    }

    /// The same, if it is the level that counts.
    fn offer_level(&mut self, pin: usize) {
        if self.entries.get(pin).is_some_and(|entry| entry.trigger() == Trigger::Level) {
            self.offer(pin);
        }
    }

    fn read_data(&self) -> u32 {
        let entry = |pin: usize| self.entries.get(pin).map_or(0, |entry| entry.0);
        match Register::at(self.selected) {
            Some(Register::Id | Register::Arbitration) => self.id,
            Some(Register::Version) => VERSION,
            Some(Register::RedirectionLow(pin)) => entry(pin) as u32,
            Some(Register::RedirectionHigh(pin)) => (entry(pin) >> 32) as u32,
            None => 0,
        }
    }

    fn write_data(&mut self, value: u32) {
        match Register::at(self.selected) {
            Some(Register::Id) => self.id = value & ID,
            Some(Register::RedirectionLow(pin)) => {
                self.write_entry(pin, u64::from(value), 0xffff_ffff);
            }
            Some(Register::RedirectionHigh(pin)) => {
                self.write_entry(pin, u64::from(value) << 32, 0xffff_ffff << 32);
            }
            Some(Register::Version | Register::Arbitration) | None => {}
        }
    }

    fn write_entry(&mut self, pin: usize, value: u64, mask: u64) {
        let Some(entry) = self.entries.get_mut(pin) else { return };
        entry.write(value, mask);
        self.offer_level(pin);
    }
}

impl<B: ApicBus> Device for IoApic<B> {
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        let value = match offset {
            window::SELECT => u64::from(self.selected),
            window::DATA => u64::from(self.read_data()),
            _ => 0,
        };
        value & width.ones()
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        match (offset, width) {
            (window::SELECT, _) => self.selected = value as u8,
            // A register is written whole.
            (_, Width::B1 | Width::B2) => {}
            (window::DATA, Width::B4 | Width::B8) => self.write_data(value as u32),
            (window::EOI, Width::B4 | Width::B8) => self.end_of_interrupt(value as u8),
            (_, Width::B4 | Width::B8) => {}
        }
    }

    fn reset(&mut self) {
        self.id = 0;
        self.selected = 0;
        self.levels = [Level::Low; PINS];
        self.entries = [Entry::RESET; PINS];
    }
}

#[cfg(test)]
mod tests;
