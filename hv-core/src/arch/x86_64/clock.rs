//! Time: the time-stamp counter, and the timer of the local APIC. How fast both run is measured against a clock whose rate is
//! known: HPET (IA-PC HPET specification 1.0a), the timer of ACPI (6.5, 4.8.3.3), or the 8254 (Intel 231164).

use super::apic::{self, TimerKind};
use super::discovery::Platform;
use super::insn;
use super::percpu::{self, PerCpu};
use crate::machine::Range;
use crate::mmio::Mmio;
use crate::ticks::Rate;
use crate::time::Instant;
use core::sync::atomic::{AtomicBool, Ordering};

/// That of the TSC.
static RATE: Rate = Rate::new();
/// That of the APIC's timer.
static TIMER_RATE: Rate = Rate::new();
/// Whether the timer takes a deadline.
static TAKES_DEADLINES: AtomicBool = AtomicBool::new(false);

/// A clock whose rate is known, and so many of its ticks are waited for.
enum Reference {
    Hpet { registers: Mmio, hz: u64 },
    Acpi { port: u16 },
    Pit,
}

const ACPI_HZ: u64 = 3_579_545;
const PIT_HZ: u64 = 1_193_182;

impl Reference {
    fn choose(platform: &Platform) -> Self {
        let hpet = platform.hpet.and_then(|base| {
            const CONFIGURATION: u64 = 0x10;
            const ENABLE: u32 = 1;
            let registers = Range { start: base, end: base + 0x1000 }.device();
            let femtoseconds = registers.read32(4);
            // 2.3.4: at most 100 ns.
            if femtoseconds == 0 || femtoseconds > 100_000_000 {
                return None;
            }
            let old = registers.read32(CONFIGURATION);
            registers.write32(CONFIGURATION, old | ENABLE);
            Some(Self::Hpet { registers, hz: 1_000_000_000_000_000 / u64::from(femtoseconds) })
        });
        hpet.or_else(|| platform.pm_timer.map(|port| Self::Acpi { port })).unwrap_or(Self::Pit)
    }

    fn hz(&self) -> u64 {
        match self {
            Self::Hpet { hz, .. } => *hz,
            Self::Acpi { .. } => ACPI_HZ,
            Self::Pit => PIT_HZ,
        }
    }

    /// How far it counts before it begins anew.
    fn mask(&self) -> u64 {
        match self {
            Self::Hpet { .. } => 0xffff_ffff,
            Self::Acpi { .. } => 0xff_ffff,
            Self::Pit => 0xffff,
        }
    }

    /// It, counting up.
    fn read(&self) -> u64 {
        match self {
            Self::Hpet { registers, .. } => u64::from(registers.read32(0xf0)),
            Self::Acpi { port } => u64::from(insn::in32(*port) & 0xff_ffff),
            Self::Pit => {
                const LATCH_0: u8 = 0;
                insn::out8(0x43, LATCH_0);
                let low = u64::from(insn::in8(0x40));
                0xffff - (u64::from(insn::in8(0x40)) << 8 | low)
            }
        }
    }

    /// It begins to count, if it does not do so by itself: channel 0, mode 2, from 65,536 down.
    fn start(&self) {
        if let Self::Pit = self {
            for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 0)] {
                insn::out8(port, value);
            }
        }
    }

    /// It, together with the TSC and the timer's countdown. Of several looks, the quickest.
    fn look(&self) -> Look {
        const LOOKS: u32 = 5;
        let mut best = None;
        for _ in 0..LOOKS {
            let before = insn::rdtsc();
            let reference = self.read();
            let after = insn::rdtsc();
            let look =
                Look { tsc: before / 2 + after / 2, reference, countdown: apic::countdown() };
            let took = after.wrapping_sub(before);
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, look));
            }
        }
        best.map(|(_, look)| look).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Default)]
struct Look {
    tsc: u64,
    reference: u64,
    countdown: u32,
}

/// Measures how fast TSC and timer run. The local APIC of this CPU is set up.
pub(super) fn init(platform: &Platform) {
    /// Milliseconds: long against the time of a look.
    const WINDOW_MS: u64 = 5;
    /// A reference that stands still is none.
    const PATIENCE: u32 = 10_000_000;
    let kind = apic::timer_kind();
    TAKES_DEADLINES.store(kind == TimerKind::Deadline, Ordering::Relaxed);
    let reference = Reference::choose(platform);
    reference.start();
    apic::init_timer(TimerKind::Countdown);
    apic::set_countdown(u32::MAX);
    let wanted = reference.hz() * WINDOW_MS / 1000;
    let first = reference.look();
    let mut patience = PATIENCE;
    while reference.read().wrapping_sub(first.reference) & reference.mask() < wanted && patience > 0
    {
        patience -= 1;
        insn::pause();
    }
    let last = reference.look();
    apic::set_countdown(0);
    apic::init_timer(kind);
    let passed = last.reference.wrapping_sub(first.reference) & reference.mask();
    let (tsc, countdown) =
        (last.tsc.wrapping_sub(first.tsc), first.countdown.wrapping_sub(last.countdown));
    match (
        frequency(tsc, passed, reference.hz()),
        frequency(countdown.into(), passed, reference.hz()),
    ) {
        (Some(tsc), Some(timer)) => {
            RATE.set(tsc);
            TIMER_RATE.set(timer);
        }
        _ => {
            const GUESS_HZ: u64 = 1_000_000_000;
            RATE.set(GUESS_HZ);
            TIMER_RATE.set(GUESS_HZ);
        }
    }
}

/// The frequency of what has counted so far while a clock of `hz` counted `passed`.
fn frequency(counted: u64, passed: u64, hz: u64) -> Option<u64> {
    let frequency = u128::from(counted) * u128::from(hz) / u128::from(passed.max(1));
    u64::try_from(frequency).ok().filter(|&hz| hz > 0 && passed > 0)
}

/// Sets up the timer of another CPU.
pub(super) fn init_this_cpu() {
    apic::init_timer(apic::timer_kind());
}

/// The frequency of the TSC in Hz.
#[must_use]
pub fn tsc_hz() -> u64 {
    RATE.hz()
}

/// The TSC.
#[inline]
#[must_use]
pub fn tsc() -> u64 {
    insn::rdtsc()
}

/// Nanoseconds in so many ticks of the TSC.
#[inline]
pub(super) fn ticks_to_ns(ticks: u64) -> u64 {
    RATE.to_ns(ticks)
}

/// Ticks of the TSC in so many nanoseconds, rounded down.
#[inline]
pub(super) fn ns_to_ticks(ns: u64) -> u64 {
    RATE.to_ticks(ns)
}

/// Now.
#[inline]
pub(crate) fn now() -> Instant {
    Instant(RATE.to_ns_unsaturated(insn::rdtsc()))
}

/// Raises the timer's interrupt on this CPU at `deadline`, or never.
#[inline]
pub(crate) fn set_timer(deadline: Instant) {
    if let Some(this) = percpu::this() {
        this.deadline.store(deadline.0, Ordering::Relaxed);
    }
    arm(deadline);
}

/// The timer has fired; whether that was at its deadline. It counts by another clock, and not for ever: if it came too early, it is
/// set again.
pub(super) fn is_due(this: &PerCpu) -> bool {
    let deadline = Instant(this.deadline.load(Ordering::Relaxed));
    let is_due = deadline <= now();
    if !is_due {
        arm(deadline);
    }
    is_due
}

fn arm(deadline: Instant) {
    let takes_deadlines = TAKES_DEADLINES.load(Ordering::Relaxed);
    match (takes_deadlines, deadline) {
        (true, Instant::NEVER) => apic::set_deadline(0),
        (false, Instant::NEVER) => apic::set_countdown(0),
        (true, deadline) => apic::set_deadline(RATE.tick_after(deadline.0).max(1)),
        (false, deadline) => {
            let left = RATE.tick_after(deadline.0).saturating_sub(insn::rdtsc());
            // One tick more, since it is measured with other rounding. What is too far comes early, and is set again.
            let ticks = TIMER_RATE.to_ticks(RATE.to_ns(left)).saturating_add(1);
            apic::set_countdown(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::frequency;

    #[test]
    fn a_frequency_is_a_ratio() {
        assert_eq!(frequency(5_000_000, 17_897, super::ACPI_HZ), Some(1_000_040_509));
        assert_eq!(frequency(5, 0, super::ACPI_HZ), None, "the reference stands still");
        assert_eq!(frequency(0, 100, super::ACPI_HZ), None, "the counter stands still");
    }
}
