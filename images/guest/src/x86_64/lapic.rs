//! The local APIC (SDM vol. 3A, chapter 11), by its page or by MSRs (x2APIC).

use core::sync::atomic::{AtomicBool, Ordering};

use super::cpu;
use super::mmio::Registers;

/// Where its page is.
pub const PAGE: usize = 0xfee0_0000;
const APIC_BASE: u32 = 0x1b;
const APIC_BASE_ENABLE: u64 = 1 << 11;
const APIC_BASE_X2: u64 = 1 << 10;
/// MSR of the register at offset 0 of the page.
const FIRST_MSR: u32 = 0x800;

/// A register, by its offset in the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Register(pub usize);

/// Which CPU it is of.
pub const ID: Register = Register(0x20);
/// Its version.
pub const VERSION: Register = Register(0x30);
/// The task's priority.
pub const TASK_PRIORITY: Register = Register(0x80);
const END: Register = Register(0xb0);
const SPURIOUS: Register = Register(0xf0);
/// What to send, and where, in the page's mode in the high word.
const COMMAND: Register = Register(0x300);
const COMMAND_HIGH: Register = Register(0x310);
/// Vector and mode of the timer.
pub const TIMER: Register = Register(0x320);
/// What the timer counts down from.
pub const TIMER_INITIAL: Register = Register(0x380);
/// Where it is.
pub const TIMER_CURRENT: Register = Register(0x390);
/// By what the timer divides.
pub const TIMER_DIVIDE: Register = Register(0x3e0);
/// The timer counts each tick.
pub const DIVIDE_BY_1: u32 = 0xb;
/// An entry of the local vector table: keeps it back.
pub const MASKED: u32 = 1 << 16;
/// The timer starts again by itself.
pub const TIMER_PERIODIC: u32 = 1 << 17;
/// The timer compares with the TSC.
pub const TIMER_DEADLINE: u32 = 1 << 18;
const SPURIOUS_ENABLE: u32 = 1 << 8;
const COMMAND_PENDING: u32 = 1 << 12;
const COMMAND_ASSERT: u32 = 1 << 14;
const COMMAND_INIT: u32 = 5 << 8;
const COMMAND_STARTUP: u32 = 6 << 8;

static IS_X2: AtomicBool = AtomicBool::new(false);

/// How CPUs speak to their APICs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// By its page.
    Page,
    /// By MSRs.
    Msrs,
}

/// Chooses for all CPUs.
pub(super) fn choose(mode: Mode) {
    IS_X2.store(mode == Mode::Msrs, Ordering::Relaxed);
}

/// What was chosen.
#[inline(always)]
pub fn mode() -> Mode {
    if IS_X2.load(Ordering::Relaxed) { Mode::Msrs } else { Mode::Page }
}

/// Its page.
pub const fn page() -> Registers {
    // SAFETY: nothing else is there.
    unsafe { Registers::new(PAGE) }
}

/// Turns that of the calling CPU on; `spurious` is the vector of interrupts that are none.
pub(super) fn start(spurious: u32) {
    let base = cpu::read_msr(APIC_BASE) | APIC_BASE_ENABLE;
    cpu::write_msr(APIC_BASE, base);
    if mode() == Mode::Msrs {
        cpu::write_msr(APIC_BASE, base | APIC_BASE_X2);
    }
    write(SPURIOUS, SPURIOUS_ENABLE | spurious);
    write(TASK_PRIORITY, 0);
}

/// Reads a register.
#[inline(always)]
pub fn read(register: Register) -> u32 {
    match mode() {
        Mode::Page => page().read32(register.0),
        Mode::Msrs => cpu::read_msr(FIRST_MSR + (register.0 >> 4) as u32) as u32,
    }
}

/// Writes a register.
#[inline(always)]
pub fn write(register: Register, value: u32) {
    match mode() {
        Mode::Page => page().write32(register.0, value),
        Mode::Msrs => {
            cpu::write_msr(FIRST_MSR + (register.0 >> 4) as u32, u64::from(value));
        }
    }
}

/// The id of the calling CPU's.
pub fn id() -> u64 {
    match mode() {
        Mode::Page => u64::from(read(ID) >> 24),
        Mode::Msrs => u64::from(read(ID)),
    }
}

/// Ends the interrupt that is served.
#[inline(always)]
pub fn end() {
    write(END, 0);
}

/// Sends an interrupt with this vector.
#[inline(always)]
pub fn send(target: u64, vector: u32) {
    command(target, COMMAND_ASSERT | vector);
}

/// Resets a CPU.
pub(super) fn send_init(target: u64) {
    command(target, COMMAND_ASSERT | COMMAND_INIT);
}

/// Starts a CPU at this page.
pub(super) fn send_startup(target: u64, page: u32) {
    command(target, COMMAND_ASSERT | COMMAND_STARTUP | page);
}

#[inline(always)]
fn command(target: u64, command: u32) {
    match mode() {
        Mode::Page => {
            while read(COMMAND) & COMMAND_PENDING != 0 {
                cpu::yield_now();
            }
            write(COMMAND_HIGH, (target as u32) << 24);
            write(COMMAND, command);
        }
        Mode::Msrs => {
            let command = target << 32 | u64::from(command);
            cpu::write_msr(FIRST_MSR + (COMMAND.0 >> 4) as u32, command);
        }
    }
}
