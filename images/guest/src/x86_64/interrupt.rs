//! Interrupts: their ids are vectors.

use super::cpu::{self, feature};
use super::lapic::{self, Mode};
use super::{ioapic, port};
use crate::board::Board;
use crate::once::Once;

/// Vector of the first of ISA's interrupts.
const FIRST_ISA: u32 = 0x30;
/// Vector of the first interrupt from CPU to CPU.
const FIRST_IPI: u32 = 0x40;
/// Vector of the timer.
pub const TIMER: u32 = 0x80;
/// Vector of interrupts that are none.
pub(super) const SPURIOUS: u32 = 0xff;

static ISA_PINS: Once<[u32; 16]> = Once::new();

/// `apic=x` on the command line chooses the APIC's page where MSRs would do.
pub(super) fn open(board: &Board) {
    let page_only = board.argument("apic") == Some("x") || !cpu::has(feature::X2APIC);
    lapic::choose(if page_only { Mode::Page } else { Mode::Msrs });
    ISA_PINS.set(board.devices.isa);
    if let Some(address) = board.devices.ioapic {
        ioapic::open(address);
    }
    // The pair of 8259s, which firmware may have left on, says nothing.
    port::write8(0x21, 0xff);
    port::write8(0xa1, 0xff);
    lapic::start(SPURIOUS);
}

/// What it is called.
pub fn name() -> &'static str {
    match lapic::mode() {
        Mode::Page => "xAPIC",
        Mode::Msrs => "x2APIC",
    }
}

/// Turns the APIC of the calling CPU on.
pub fn start() {
    lapic::start(SPURIOUS);
}

/// The id of the nth interrupt from CPU to CPU; there are 16.
pub const fn ipi(number: u32) -> u32 {
    FIRST_IPI + number % 16
}

/// The id of an interrupt of the ISA bus.
pub const fn isa(number: u32) -> u32 {
    FIRST_ISA + number % 16
}

/// Enables an interrupt; one of a device goes to the calling CPU.
pub fn enable(id: u32) {
    if id == TIMER {
        super::clock::enable();
    } else if let Some(pin) = pin(id) {
        ioapic::route(pin, id, lapic::id());
    }
}

/// Disables an interrupt.
pub fn disable(id: u32) {
    if id == TIMER {
        lapic::write(lapic::TIMER, lapic::MASKED | TIMER);
    } else if let Some(pin) = pin(id) {
        ioapic::mask(pin);
    }
}

fn pin(id: u32) -> Option<u32> {
    let number = id.checked_sub(FIRST_ISA)?;
    ISA_PINS.get()?.get(number as usize).copied()
}

/// Sends an interrupt to the CPU with this APIC id.
#[inline(always)]
pub fn send(id: u32, target: u64) {
    lapic::send(target, id);
}

/// The calling CPU's APIC id.
pub fn own_cpu() -> u64 {
    lapic::id()
}
