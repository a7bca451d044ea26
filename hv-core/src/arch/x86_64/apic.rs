//! The host's local APICs, by their page or by MSRs. SDM vol. 3A, chapter 11.

use super::insn;
use super::interrupts::{LEGACY, SPURIOUS, TIMER};
use crate::machine::Range;
use crate::mmio::Mmio;
use spin::Once;

const BASE_MSR: u32 = 0x1b;
const X2APIC_FIRST_MSR: u32 = 0x800;
const ENABLE: u64 = 1 << 11;
const X2APIC_ENABLE: u64 = 1 << 10;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Offsets in the page; an MSR's number is a sixteenth of it.
mod register {
    pub(super) const ID: u32 = 0x20;
    pub(super) const TASK_PRIORITY: u32 = 0x80;
    pub(super) const END: u32 = 0xb0;
    pub(super) const SPURIOUS: u32 = 0xf0;
    pub(super) const IN_SERVICE: u32 = 0x100;
    pub(super) const ERROR_STATUS: u32 = 0x280;
    pub(super) const COMMAND: u32 = 0x300;
    pub(super) const COMMAND_HIGH: u32 = 0x310;
    pub(super) const TIMER: u32 = 0x320;
    pub(super) const LINT0: u32 = 0x350;
    pub(super) const LINT1: u32 = 0x360;
    pub(super) const ERROR: u32 = 0x370;
    pub(super) const INITIAL_COUNT: u32 = 0x380;
    pub(super) const CURRENT_COUNT: u32 = 0x390;
    pub(super) const DIVIDE: u32 = 0x3e0;
}

const MASKED: u32 = 1 << 16;

/// How they are reached: all of them alike.
#[derive(Clone, Copy, Debug)]
enum Access {
    Page(Mmio),
    Msrs,
}

static ACCESS: Once<Access> = Once::new();

/// Where the page of registers is, whether it is used or not.
pub(super) fn page() -> u64 {
    insn::rdmsr(BASE_MSR) & ADDRESS
}

fn has_x2apic() -> bool {
    insn::cpuid_reader().get_feature_info().is_some_and(|features| features.has_x2apic())
}

impl Access {
    #[inline]
    fn read(&self, offset: u32) -> u32 {
        match self {
            Self::Page(page) => page.read32(u64::from(offset)),
            Self::Msrs => insn::rdmsr(X2APIC_FIRST_MSR + offset / 16) as u32,
        }
    }

    #[inline]
    fn write(&self, offset: u32, value: u32) {
        match self {
            Self::Page(page) => page.write32(u64::from(offset), value),
            Self::Msrs => insn::wrmsr(X2APIC_FIRST_MSR + offset / 16, u64::from(value)),
        }
    }
}

/// Sets up that of the CPU that runs this: everything masked but what the hypervisor uses. The page is mapped.
pub(super) fn init_this_cpu() {
    let access = ACCESS.call_once(|| {
        if has_x2apic() {
            Access::Msrs
        } else {
            let start = page();
            Access::Page(Range { start, end: start + 0x1000 }.device())
        }
    });
    let base = insn::rdmsr(BASE_MSR);
    insn::wrmsr(BASE_MSR, base | ENABLE);
    if let Access::Msrs = access {
        // Not at once: from off to x2APIC leads through xAPIC (11.12.5).
        insn::wrmsr(BASE_MSR, base | ENABLE | X2APIC_ENABLE);
    }
    const SOFTWARE_ENABLE: u32 = 1 << 8;
    const NMI: u32 = 4 << 8;
    access.write(register::TASK_PRIORITY, 0);
    access.write(register::SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS));
    access.write(register::LINT0, MASKED);
    access.write(register::LINT1, NMI);
    access.write(register::ERROR, MASKED);
    access.write(register::TIMER, MASKED);
    access.write(register::ERROR_STATUS, 0);
    // What a boot loader has left in service would keep all else out.
    for word in 0..8 {
        while access.read(register::IN_SERVICE + 16 * word) != 0 {
            access.write(register::END, 0);
        }
    }
}

/// What they are.
pub(super) fn name() -> &'static str {
    match ACCESS.get() {
        Some(Access::Msrs) => "x2APIC",
        Some(Access::Page(_)) | None => "xAPIC",
    }
}

/// The identifier of the CPU that runs this.
pub(super) fn id() -> u32 {
    match ACCESS.get() {
        Some(Access::Msrs) => Access::Msrs.read(register::ID),
        Some(page) => page.read(register::ID) >> 24,
        None => insn::cpuid(1, 0)[1] >> 24,
    }
}

/// Ends the interrupt in service.
#[inline]
pub(super) fn end_of_interrupt() {
    if let Some(access) = ACCESS.get() {
        access.write(register::END, 0);
    }
}

/// A command to the CPU of this identifier (11.6.1).
fn command(apic_id: u32, low: u32) {
    const PENDING: u32 = 1 << 12;
    const PATIENCE: u32 = 1_000_000;
    match ACCESS.get() {
        Some(Access::Msrs) => {
            let command = u64::from(apic_id) << 32 | u64::from(low);
            insn::wrmsr(X2APIC_FIRST_MSR + register::COMMAND / 16, command);
        }
        Some(page) => {
            for _ in 0..PATIENCE {
                if page.read(register::COMMAND) & PENDING == 0 {
                    break;
                }
                insn::pause();
            }
            page.write(register::COMMAND_HIGH, apic_id << 24);
            page.write(register::COMMAND, low);
        }
        None => {}
    }
}

/// Sends an interrupt of this vector.
pub(super) fn send(apic_id: u32, vector: u8) {
    const ASSERT: u32 = 1 << 14;
    command(apic_id, ASSERT | u32::from(vector));
}

/// Sends an INIT: the CPU waits for a start-up then.
pub(super) fn send_init(apic_id: u32) {
    const INIT_ASSERT: u32 = 5 << 8 | 1 << 14 | 1 << 15;
    const INIT_DEASSERT: u32 = 5 << 8 | 1 << 15;
    command(apic_id, INIT_ASSERT);
    command(apic_id, INIT_DEASSERT);
}

/// Sends a start-up: the CPU starts in real mode at the beginning of this page.
pub(super) fn send_startup(apic_id: u32, page: u8) {
    const STARTUP: u32 = 6 << 8 | 1 << 14;
    command(apic_id, STARTUP | u32::from(page));
}

/// How the timer is told when to fire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TimerKind {
    /// The TSC at which it fires.
    Deadline,
    /// How many ticks of its own it counts down.
    Countdown,
}

/// What this CPU's timer can do.
pub(super) fn timer_kind() -> TimerKind {
    let features = insn::cpuid_reader().get_feature_info();
    match features {
        Some(features) if features.has_tsc_deadline() => TimerKind::Deadline,
        Some(_) | None => TimerKind::Countdown,
    }
}

const DEADLINE_MSR: u32 = 0x6e0;

/// Sets up the timer of the CPU that runs this; it is off.
pub(super) fn init_timer(kind: TimerKind) {
    const BY_ONE: u32 = 0b1011;
    const DEADLINE_MODE: u32 = 2 << 17;
    let Some(access) = ACCESS.get() else { return };
    access.write(register::DIVIDE, BY_ONE);
    access.write(register::INITIAL_COUNT, 0);
    match kind {
        TimerKind::Deadline => {
            access.write(register::TIMER, DEADLINE_MODE | u32::from(TIMER));
            insn::wrmsr(DEADLINE_MSR, 0);
        }
        TimerKind::Countdown => access.write(register::TIMER, u32::from(TIMER)),
    }
}

/// Fires at this TSC; 0 is never.
#[inline]
pub(super) fn set_deadline(tsc: u64) {
    insn::wrmsr(DEADLINE_MSR, tsc);
}

/// Counts so many ticks down, and fires; 0 is never.
#[inline]
pub(super) fn set_countdown(ticks: u32) {
    if let Some(access) = ACCESS.get() {
        access.write(register::INITIAL_COUNT, ticks);
    }
}

/// What is left to count down.
pub(super) fn countdown() -> u32 {
    ACCESS.get().map_or(0, |access| access.read(register::CURRENT_COUNT))
}

/// Silences the 8259 pair: nothing of it is used, and what it sends all the same has vectors that are nobody's.
/// Intel 231468, 8259A.
pub(super) fn silence_8259() {
    const FIRST: u16 = 0x20;
    const SECOND: u16 = 0xa0;
    for (chip, vector, cascade) in [(FIRST, LEGACY, 4), (SECOND, LEGACY + 8, 2)] {
        for (port, value) in [(chip, 0x11), (chip + 1, vector), (chip + 1, cascade), (chip + 1, 1)]
        {
            insn::out8(port, value);
        }
        insn::out8(chip + 1, 0xff);
    }
}
