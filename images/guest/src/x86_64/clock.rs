//! The time-stamp counter, and the APIC's timer.

use core::arch::asm;
use core::arch::x86_64::_rdtsc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::cpu::{self, feature};
use super::{interrupt as interrupts, lapic, port};
use crate::board::Board;

/// MSR of the deadline.
const DEADLINE: u32 = 0x6e0;
/// The hypervisor's leaf with frequencies in kHz: EAX that of the TSC, EBX that of the APIC's timer.
const HYPERVISOR: u32 = 0x4000_0000;
const HYPERVISOR_TIMING: u32 = 0x4000_0010;
/// The frequency of the 8254.
const PIT_HZ: u64 = 1_193_182;

static FREQUENCY: AtomicU64 = AtomicU64::new(1_000_000_000);
/// Ticks of the APIC's timer in one of the TSC, times 2^32.
static RATIO: AtomicU64 = AtomicU64::new(1 << 32);
static HAS_DEADLINE: AtomicBool = AtomicBool::new(false);

/// Finds the frequencies out.
pub(super) fn open() {
    HAS_DEADLINE.store(cpu::has(feature::TSC_DEADLINE), Ordering::Relaxed);
    lapic::write(lapic::TIMER_DIVIDE, lapic::DIVIDE_BY_1);
    let (tsc, timer) = told().unwrap_or_else(measured);
    FREQUENCY.store(tsc, Ordering::Relaxed);
    RATIO.store(((u128::from(timer) << 32) / u128::from(tsc)) as u64, Ordering::Relaxed);
}

fn told() -> Option<(u64, u64)> {
    if !cpu::has(feature::HYPERVISOR) || cpu::cpuid(HYPERVISOR, 0).eax < HYPERVISOR_TIMING {
        return None;
    }
    let leaf = cpu::cpuid(HYPERVISOR_TIMING, 0);
    let found = (u64::from(leaf.eax) * 1000, u64::from(leaf.ebx) * 1000);
    (found.0 != 0 && found.1 != 0).then_some(found)
}

/// Lets channel 2 of the 8254 count 10 ms down.
fn measured() -> (u64, u64) {
    let count = PIT_HZ / 100;
    lapic::write(lapic::TIMER, lapic::MASKED | interrupts::TIMER);
    port::write8(0x61, port::read8(0x61) & !2 | 1);
    port::write8(0x43, 0xb0);
    port::write8(0x42, count as u8);
    port::write8(0x42, (count >> 8) as u8);
    lapic::write(lapic::TIMER_INITIAL, u32::MAX);
    let start = now();
    while port::read8(0x61) & 0x20 == 0 {
        cpu::yield_now();
    }
    let ticks = now() - start;
    let timer = u64::from(u32::MAX - lapic::read(lapic::TIMER_CURRENT));
    lapic::write(lapic::TIMER_INITIAL, 0);
    (ticks.max(1) * PIT_HZ / count, timer.max(1) * PIT_HZ / count)
}

/// The counter.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: CR4.TSD is clear.
    unsafe { _rdtsc() }
}

/// The counter, read when all before it is done.
#[inline(always)]
pub fn now_in_order() -> u64 {
    // SAFETY: a fence.
    unsafe { asm!("lfence", options(nostack, preserves_flags)) };
    now()
}

/// Ticks of the counter in a second.
pub fn frequency() -> u64 {
    FREQUENCY.load(Ordering::Relaxed)
}

/// Instructions in that many ticks, on an emulator whose counter counts them.
pub fn instructions(ticks: u64) -> u64 {
    ticks
}

/// The id of the timer's interrupt.
pub fn interrupt(_: &Board) -> u32 {
    interrupts::TIMER
}

/// Lets the timer of the calling CPU interrupt.
pub(super) fn enable() {
    lapic::write(lapic::TIMER_DIVIDE, lapic::DIVIDE_BY_1);
    if HAS_DEADLINE.load(Ordering::Relaxed) {
        lapic::write(lapic::TIMER, lapic::TIMER_DEADLINE | interrupts::TIMER);
        // The mode has changed before a deadline is written (SDM vol. 3A, 11.5.4.1).
        // SAFETY: a fence.
        unsafe { asm!("mfence", options(nostack, preserves_flags)) };
    } else {
        lapic::write(lapic::TIMER, interrupts::TIMER);
    }
}

/// Has the timer fire at `deadline`.
#[inline(always)]
pub fn start(deadline: u64) {
    if HAS_DEADLINE.load(Ordering::Relaxed) {
        cpu::write_msr(DEADLINE, deadline);
    } else {
        let ticks = u128::from(deadline.saturating_sub(now()));
        let count = (ticks * u128::from(RATIO.load(Ordering::Relaxed))) >> 32;
        // Rather late than early, for the frequencies are not known better than to a millionth; and never 0, which stops it.
        let count = u32::try_from(count + (count >> 20) + 1).unwrap_or(u32::MAX);
        lapic::write(lapic::TIMER_INITIAL, count);
    }
}

/// Stops the timer.
#[inline(always)]
pub fn stop() {
    if HAS_DEADLINE.load(Ordering::Relaxed) {
        cpu::write_msr(DEADLINE, 0);
    } else {
        lapic::write(lapic::TIMER_INITIAL, 0);
    }
}
