//! The APIC's timer in all its modes: on time, masked, in the past, periodic, and gone when stopped.

use core::sync::atomic::{AtomicU64, Ordering};

use guest::arch::cpu::{self, feature};
use guest::arch::interrupt::TIMER;
use guest::arch::lapic;
use guest::board::Board;
use guest::{interrupt, println, time, trap};

use crate::report::{Outcome, check, wait};

static FIRED: AtomicU64 = AtomicU64::new(0);

fn fired() -> u64 {
    FIRED.load(Ordering::Relaxed)
}

pub(super) fn run(_: &'static Board) -> Outcome {
    trap::on_interrupt(|_| {
        FIRED.fetch_add(1, Ordering::Relaxed);
    });
    cpu::unmask_interrupts();
    let outcome = on_time().and_then(|()| counting());
    lapic::write(lapic::TIMER, lapic::MASKED | TIMER);
    cpu::mask_interrupts();
    outcome
}

/// As other tests use it: with a deadline where there is one, else counting down once.
fn on_time() -> Outcome {
    interrupt::enable(TIMER);
    let millisecond = time::ticks_of_ms(1);
    let mut latest = 0;
    for round in 0..10 {
        let deadline = time::now() + 5 * millisecond;
        let before = fired();
        time::start(deadline);
        wait("no interrupt in round", round, || fired() > before)?;
        let now = time::now();
        check(now >= deadline, "an interrupt before its time, in round", round)?;
        check(fired() == before + 1, "more than one interrupt", fired() - before)?;
        latest = latest.max(now - deadline);
    }
    println!("probe: info timer latest={} us", latest * 1000 / millisecond);
    let before = fired();
    time::start(time::now().saturating_sub(millisecond));
    wait("no interrupt of a time in the past", 0, || fired() > before)?;
    time::start(time::now() + 5 * millisecond);
    time::stop();
    let before = fired();
    time::spin_ms(10);
    check(fired() == before, "an interrupt of a timer that was stopped", fired() - before)
}

/// Counting down, once and again and again.
fn counting() -> Outcome {
    /// Some milliseconds, whatever the timer's frequency is: it is between 10 MHz and 10 GHz.
    const COUNT: u32 = 10_000_000;
    const DIVIDE_BY_128: u32 = 0xa;
    lapic::write(lapic::TIMER_DIVIDE, lapic::DIVIDE_BY_1);
    lapic::write(lapic::TIMER, TIMER);
    let before = fired();
    lapic::write(lapic::TIMER_INITIAL, COUNT);
    let current = lapic::read(lapic::TIMER_CURRENT);
    check(current > 0 && current <= COUNT, "the count is", u64::from(current))?;
    wait("no interrupt after counting down", 0, || fired() > before)?;
    check(lapic::read(lapic::TIMER_CURRENT) == 0, "it counts on", 0)?;
    lapic::write(lapic::TIMER, lapic::TIMER_PERIODIC | TIMER);
    lapic::write(lapic::TIMER_INITIAL, COUNT / 4);
    wait("no third interrupt", 0, || fired() >= before + 4)?;
    lapic::write(lapic::TIMER, lapic::TIMER_PERIODIC | lapic::MASKED | TIMER);
    let masked = fired();
    let start = lapic::read(lapic::TIMER_CURRENT);
    wait("a masked timer stands still", 0, || lapic::read(lapic::TIMER_CURRENT) != start)?;
    check(fired() <= masked + 1, "an interrupt of a masked timer", fired() - masked)?;
    lapic::write(lapic::TIMER_INITIAL, 0);
    lapic::write(lapic::TIMER_DIVIDE, DIVIDE_BY_128);
    lapic::write(lapic::TIMER, TIMER);
    lapic::write(lapic::TIMER_INITIAL, u32::MAX);
    let before = fired();
    time::spin_ms(5);
    check(fired() == before, "an interrupt long before its time", 0)?;
    lapic::write(lapic::TIMER_INITIAL, 0);
    let has_deadline = cpu::has(feature::TSC_DEADLINE);
    println!("probe: info timer deadline={has_deadline}");
    Ok(())
}
