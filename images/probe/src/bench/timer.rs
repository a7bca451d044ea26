//! How late the timer's interrupt is: from its time to the handler's reading of the counter.

use core::sync::atomic::{AtomicU64, Ordering};

use guest::board::Board;
use guest::{cpu, interrupt, time, trap};

use crate::batch;

static DEADLINE: AtomicU64 = AtomicU64::new(0);
static LATENESS: AtomicU64 = AtomicU64::new(0);
const NONE: u64 = u64::MAX;

fn fired(_: u32) {
    let now = time::now();
    LATENESS.store(now.saturating_sub(DEADLINE.load(Ordering::Relaxed)), Ordering::Relaxed);
    time::stop();
}

fn lateness(repetition: u64, wait: fn()) -> u64 {
    // Not always the same distance, so that nothing else falls into step.
    let deadline = time::now() + 3000 + repetition % 16 * 7;
    DEADLINE.store(deadline, Ordering::Relaxed);
    LATENESS.store(NONE, Ordering::Relaxed);
    time::start(deadline);
    loop {
        wait();
        let lateness = LATENESS.load(Ordering::Relaxed);
        if lateness != NONE {
            return lateness;
        }
    }
}

/// With the CPU busy.
pub(super) fn spinning(board: &'static Board, name: &str) {
    trap::on_interrupt(fired);
    interrupt::enable(time::interrupt(board));
    cpu::unmask_interrupts();
    batch::sum(name, |repetition| lateness(repetition, cpu::yield_now));
    cpu::mask_interrupts();
}

/// From sleep.
pub(super) fn sleeping(board: &'static Board, name: &str) {
    trap::on_interrupt(fired);
    interrupt::enable(time::interrupt(board));
    batch::sum(name, |repetition| lateness(repetition, cpu::sleep));
}
