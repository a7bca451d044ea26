//! The local APIC (Intel SDM volume 3A, chapter 11), as an xAPIC and as an x2APIC.
//!
//! ```text
//!  IOAPIC, other APICs ── receive ─→ ┌──────────────┐ pending ─→ the CPU loop injects it,
//!  8259 pair, NMI ────── set_lint ─→ │ IRR  ISR TPR │ ←───────── and calls acknowledge
//!  time ────────────────────── poll ─→ │ LVT  timer   │
//!  guest ── write_page, write_msr ─→ └──────────────┘ ─→ Effect: a message, or an end, to pass on
//! ```
//!
//! # The contract with its owner
//!
//! - Each APIC is held by its owner's lock. No method calls out: what concerns other APICs or the
//!   IOAPIC is given back as an [`Effect`], to be passed on once the lock is free. [`targets`] says
//!   to which APICs a message goes.
//! - Before a vCPU enters its guest: [`LocalApic::poll`], then what [`LocalApic::pending`] says, and
//!   a timer for [`LocalApic::next_deadline`].
//! - What comes by [`LocalApic::receive`] or [`LocalApic::set_lint`] for the CPU itself (NMI, INIT,
//!   start-up) is a [`Reception`]: the vCPU keeps it. At an INIT that it takes: [`LocalApic::init`].
//! - The owner of the TSC converts its deadlines: [`LocalApic::set_tsc_deadline`].

use super::apic_message::Message;
use crate::devices::frequency::Frequency;
use hv_core::guest::{GuestPhysAddr, Level};
use hv_core::time::Instant;

mod access;
mod address;
mod arrival;
mod command;
mod error;
mod local_vectors;
mod mode;
mod priority;
mod register;
#[cfg(test)]
mod tests;
mod timer;
mod vectors;

pub use address::{Address, targets};
pub use arrival::{Lint, Reception};
pub use command::Scope;
pub use mode::{BASE_MSR, Mode, Role};
pub use timer::TscDeadline;

use local_vectors::{LocalVectors, Source, TimerMode};
use mode::Base;
use timer::Timer;
use vectors::Vectors;

/// The number of the MSR `IA32_TSC_DEADLINE`.
pub const TSC_DEADLINE_MSR: u32 = 0x6e0;

/// Version 0x14, six entries in the local vector table, and the suppression of EOI broadcasts.
const VERSION: u32 = 0x0105_0014;
/// Vectors below are the CPU's exceptions (11.5.2).
const FIRST_LEGAL_VECTOR: u8 = 16;
/// The spurious interrupt vector register: software enable, and its bits that can be written.
const SOFTWARE_ENABLE: u32 = 1 << 8;
const SUPPRESS_EOI_BROADCAST: u32 = 1 << 12;
const SPURIOUS_WRITABLE: u32 = SUPPRESS_EOI_BROADCAST | 0x1ff;
const SPURIOUS_RESET: u32 = 0xff;
/// The destination format has only its four highest bits.
const DESTINATION_FORMAT_ONES: u32 = 0x0fff_ffff;

/// The guest did what the manual forbids: it gets a `#GP(0)`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GeneralProtection;

/// What a write to a register asks of the rest of the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Effect {
    /// Nothing.
    None,
    /// The level-triggered interrupt of this vector has ended: the IOAPICs have to know.
    EndOfInterrupt(u8),
    /// A message to local APICs, of which this one may be one.
    Send {
        /// What is sent.
        message: Message,
        /// Whether the sender is meant too, if the message matches it.
        scope: Scope,
    },
}

/// What the CPU is to be interrupted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interrupt {
    /// This vector: see [`LocalApic::acknowledge`].
    Vector(u8),
    /// Whatever the 8259 pair says, which is to be acknowledged there and then by
    /// [`LocalApic::acknowledge_external`].
    External,
}

/// Whether an external interrupt came by a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ExternalMessage {
    None,
    Waits,
}

/// One local APIC.
#[derive(Debug)]
pub struct LocalApic {
    id: u32,
    role: Role,
    base: Base,
    xapic_id: u8,
    task_priority: u8,
    logical_destination: u32,
    destination_format: u32,
    spurious: u32,
    in_service: Vectors,
    levels: Vectors,
    requests: Vectors,
    error_status: u32,
    pending_errors: u32,
    command: u64,
    local: LocalVectors,
    timer: Timer,
    external: ExternalMessage,
    lint0: Level,
    lint1: Level,
}

impl LocalApic {
    /// An APIC after power-on, in xAPIC mode. An `id` of 255 or more is for x2APICs only. The timer
    /// counts `clock`, before it is divided.
    #[must_use]
    pub fn new(id: u32, role: Role, clock: Frequency) -> Self {
        Self {
            id,
            role,
            base: Base::new(role),
            xapic_id: id as u8,
            task_priority: 0,
            logical_destination: 0,
            destination_format: u32::MAX,
            spurious: SPURIOUS_RESET,
            in_service: Vectors::default(),
            levels: Vectors::default(),
            requests: Vectors::default(),
            error_status: 0,
            pending_errors: 0,
            command: 0,
            local: LocalVectors::RESET,
            timer: Timer::new(clock),
            external: ExternalMessage::None,
            lint0: Level::Low,
            lint1: Level::Low,
        }
    }

    /// Returns to the state after power-on; the pins are low.
    pub fn reset(&mut self) {
        self.base = Base::new(self.role);
        self.lint0 = Level::Low;
        self.lint1 = Level::Low;
        self.xapic_id = self.id as u8;
        self.init();
    }

    /// What an INIT does: all but the ID and the mode is as after power-on (11.4.7.3).
    pub fn init(&mut self) {
        *self = Self {
            base: self.base,
            xapic_id: self.xapic_id,
            lint0: self.lint0,
            lint1: self.lint1,
            timer: self.timer.after_reset(),
            ..Self::new(self.id, self.role, Frequency::from_hertz(0))
        };
    }

    /// Leaves the APIC as firmware does in virtual wire mode (Intel 242016, "MultiProcessor
    /// Specification", 3.6.2.2): enabled, the 8259 pair and the NMI on its pins.
    pub fn start_virtual_wire(&mut self) {
        self.spurious = SOFTWARE_ENABLE | 0x0f;
        self.local.set(Source::Lint0, 0x700);
        self.local.set(Source::Lint1, 0x400);
    }

    /// The mode that the guest has chosen.
    #[inline]
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.base.mode()
    }

    /// Where the page of registers is, if there is one.
    #[must_use]
    pub fn page(&self) -> Option<GuestPhysAddr> {
        (self.mode() == Mode::XApic).then(|| self.base.address())
    }

    /// The value of `IA32_APIC_BASE`.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base.0
    }

    /// Writes `IA32_APIC_BASE`.
    ///
    /// # Errors
    ///
    /// [`GeneralProtection`], nothing having changed, for a reserved bit or a change of mode that the
    /// manual forbids (11.12.5).
    pub fn set_base(&mut self, value: u64) -> Result<(), GeneralProtection> {
        let new = self.base.changed(value).ok_or(GeneralProtection)?;
        let old = core::mem::replace(&mut self.base, new);
        match (old.mode(), new.mode()) {
            (Mode::XApic | Mode::X2Apic, Mode::Disabled) => {
                self.xapic_id = self.id as u8;
                self.init();
            }
            // The format of the command is another; the rest stays (11.12.5.1).
            (Mode::XApic, Mode::X2Apic) => self.command &= 0xffff_ffff,
            (Mode::Disabled | Mode::XApic | Mode::X2Apic, _) => {}
        }
        Ok(())
    }

    /// Whether bit 8 of the spurious vector register lets vectors in.
    fn is_software_enabled(&self) -> bool {
        self.spurious & SOFTWARE_ENABLE != 0
    }

    fn set_spurious(&mut self, value: u32) {
        self.spurious = value & SPURIOUS_WRITABLE;
        if !self.is_software_enabled() {
            self.local.mask_all();
        }
    }

    /// When the APIC wants to be polled to interrupt in time; `Instant::NEVER` if it need not.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let entry = self.local.get(Source::Timer);
        // A further period adds nothing to an interrupt that waits: however short it is, the guest
        // gets to take the one before.
        let is_covered =
            entry.timer_mode() == TimerMode::Periodic && self.requests.contains(entry.vector());
        if entry.is_masked() || is_covered { Instant::NEVER } else { self.timer.next() }
    }

    /// Raises the timer's interrupt if it is due.
    #[inline(always)]
    pub fn poll(&mut self, now: Instant) {
        if self.timer.take_expiry(now) {
            // The timer's entry has a vector, which `pending` tells.
            let _ = self.fire(Source::Timer);
        }
    }

    /// The value of `IA32_TSC_DEADLINE`: zero if none is set.
    #[must_use]
    pub fn tsc_deadline(&mut self, now: Instant) -> u64 {
        self.poll(now);
        self.timer.tsc_deadline()
    }

    /// Writes `IA32_TSC_DEADLINE`, which does nothing in the timer's other modes.
    pub fn set_tsc_deadline(&mut self, deadline: TscDeadline, now: Instant) {
        self.poll(now);
        self.timer.set_deadline(deadline);
    }
}
