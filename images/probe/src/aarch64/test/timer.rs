//! Both timers of EL1: on time, masked, in the past, and gone when stopped.

use core::sync::atomic::{AtomicU64, Ordering};

use guest::arch::clock::{ENABLE, FIRED, MASKED};
use guest::arch::gic;
use guest::board::Board;
use guest::{cpu, println, read_register, time, trap, write_register};

use crate::report::{Outcome, check, wait};

static VIRTUAL: AtomicU64 = AtomicU64::new(0);
static PHYSICAL: AtomicU64 = AtomicU64::new(0);
static PHYSICAL_ID: AtomicU64 = AtomicU64::new(0);
/// A time that does not come. Not the last there is: QEMU 7.2 adds the counter's offset to it, and hangs for ever in the
/// timers of its main loop when the sum wraps.
const NEVER: u64 = u64::MAX / 2;

/// One of the two, so that both are tested alike.
struct Timer {
    now: fn() -> u64,
    start: fn(u64, u64),
    control: fn() -> u64,
    count: &'static AtomicU64,
}

const TIMERS: [Timer; 2] = [
    Timer {
        now: time::now,
        start: |deadline, control| {
            write_register!("cntv_cval_el0", deadline);
            write_register!("cntv_ctl_el0", control);
        },
        control: || read_register!("cntv_ctl_el0"),
        count: &VIRTUAL,
    },
    Timer {
        now: || read_register!("cntpct_el0"),
        start: |deadline, control| {
            write_register!("cntp_cval_el0", deadline);
            write_register!("cntp_ctl_el0", control);
        },
        control: || read_register!("cntp_ctl_el0"),
        count: &PHYSICAL,
    },
];

pub(super) fn run(board: &'static Board) -> Outcome {
    PHYSICAL_ID.store(u64::from(board.devices.timer.physical), Ordering::Relaxed);
    trap::on_interrupt(|id| {
        if u64::from(id) == PHYSICAL_ID.load(Ordering::Relaxed) {
            write_register!("cntp_ctl_el0", 0);
            PHYSICAL.fetch_add(1, Ordering::Relaxed);
        } else {
            write_register!("cntv_ctl_el0", 0);
            VIRTUAL.fetch_add(1, Ordering::Relaxed);
        }
    });
    gic::enable(board.devices.timer.virtual_);
    gic::enable(board.devices.timer.physical);
    cpu::unmask_interrupts();
    let outcome = TIMERS.iter().try_for_each(one);
    cpu::mask_interrupts();
    outcome
}

fn one(timer: &Timer) -> Outcome {
    let count = || timer.count.load(Ordering::Relaxed);
    let milliseconds = time::ticks_of_ms(1);
    let mut latest = 0;
    for round in 0..10 {
        let deadline = (timer.now)() + 5 * milliseconds;
        let before = count();
        (timer.start)(deadline, ENABLE);
        wait("no interrupt in round", round, || count() > before)?;
        let now = (timer.now)();
        check(now >= deadline, "an interrupt before its time, in round", round)?;
        check(count() == before + 1, "more than one interrupt", count() - before)?;
        latest = latest.max(now - deadline);
    }
    println!("probe: info timer latest={} us", latest * 1000 / milliseconds);

    let before = count();
    (timer.start)((timer.now)() + milliseconds, ENABLE | MASKED);
    time::spin_ms(5);
    // QEMU sets the bit in a thread of its own, which may be late on a busy machine, and not when the register is read.
    wait("a masked timer does not say that it fired", (timer.control)(), || {
        (timer.control)() & FIRED != 0
    })?;
    check(count() == before, "an interrupt of a masked timer", count() - before)?;

    (timer.start)(0, ENABLE);
    wait("no interrupt of a time in the past", 0, || count() > before)?;
    (timer.start)(NEVER, ENABLE);
    check((timer.control)() & FIRED == 0, "fired long before its time", (timer.control)())?;
    (timer.start)(NEVER, 0);
    Ok(())
}
