//! The local vector table: what interrupts from within the CPU, and its two pins, do (SDM volume 3A,
//! 11.5.1).

use crate::irqchip::apic_message::Delivery;

/// What has an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Source {
    Timer,
    Thermal,
    Performance,
    Lint0,
    Lint1,
    Error,
}

/// Entries.
pub(super) const SOURCES: usize = 6;

/// How the timer counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TimerMode {
    OneShot,
    Periodic,
    TscDeadline,
}

/// An entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LocalVector(pub(super) u32);

impl LocalVector {
    pub(super) const MASKED: u32 = 1 << 16;
    pub(super) const REMOTE_IRR: u32 = 1 << 14;
    const LEVEL: u32 = 1 << 15;
    const RESET: Self = Self(Self::MASKED);

    pub(super) const fn vector(self) -> u8 {
        self.0 as u8
    }

    pub(super) const fn is_masked(self) -> bool {
        self.0 & Self::MASKED != 0
    }

    pub(super) const fn is_level(self) -> bool {
        self.0 & Self::LEVEL != 0
    }

    pub(super) fn delivery(self) -> Option<Delivery> {
        Delivery::from_bits(self.0)
    }

    pub(super) const fn timer_mode(self) -> TimerMode {
        match (self.0 >> 17) & 3 {
            1 => TimerMode::Periodic,
            2 => TimerMode::TscDeadline,
            _ => TimerMode::OneShot,
        }
    }
}

/// The table.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalVectors([LocalVector; SOURCES]);

impl LocalVectors {
    pub(super) const RESET: Self = Self([LocalVector::RESET; SOURCES]);
    /// Delivery status, which is never seen set, and remote IRR.
    pub(super) const READ_ONLY: u32 = 1 << 12 | LocalVector::REMOTE_IRR;

    #[inline]
    pub(super) const fn get(&self, source: Source) -> LocalVector {
        let [timer, thermal, performance, lint0, lint1, error] = self.0;
        match source {
            Source::Timer => timer,
            Source::Thermal => thermal,
            Source::Performance => performance,
            Source::Lint0 => lint0,
            Source::Lint1 => lint1,
            Source::Error => error,
        }
    }

    fn entry(&mut self, source: Source) -> &mut LocalVector {
        let [timer, thermal, performance, lint0, lint1, error] = &mut self.0;
        match source {
            Source::Timer => timer,
            Source::Thermal => thermal,
            Source::Performance => performance,
            Source::Lint0 => lint0,
            Source::Lint1 => lint1,
            Source::Error => error,
        }
    }

    /// The bits of an entry that exist and may be written (figure 11-8).
    pub(super) const fn writable(source: Source) -> u32 {
        match source {
            Source::Timer => 0x7_00ff,
            Source::Thermal | Source::Performance => 0x1_07ff,
            Source::Lint0 | Source::Lint1 => 0x1_a7ff,
            Source::Error => 0x1_00ff,
        }
    }

    /// Writes an entry. An input that becomes edge-triggered waits for no end any more.
    pub(super) fn set(&mut self, source: Source, value: u32) {
        let writable = Self::writable(source);
        let entry = self.entry(source);
        let kept = if value & LocalVector::LEVEL == 0 { 0 } else { LocalVector::REMOTE_IRR };
        entry.0 = entry.0 & kept | value & writable;
    }

    /// Masks them all, as an APIC does that software disables (11.4.7.2).
    pub(super) fn mask_all(&mut self) {
        for entry in &mut self.0 {
            entry.0 |= LocalVector::MASKED;
        }
    }

    /// A level of `source` was accepted, and waits for its end.
    pub(super) fn await_end(&mut self, source: Source) {
        self.entry(source).0 |= LocalVector::REMOTE_IRR;
    }

    /// The end of `vector` has come.
    pub(super) fn end(&mut self, vector: u8) {
        for entry in &mut self.0 {
            if entry.vector() == vector {
                entry.0 &= !LocalVector::REMOTE_IRR;
            }
        }
    }
}
