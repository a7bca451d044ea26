//! How late the virtual timer's interrupt is: from its time to the handler's reading of the counter.

use core::sync::atomic::{AtomicU64, Ordering};

use guest::board::Board;
use guest::{cpu, gic, time, trap};

use crate::batch;

static DEADLINE: AtomicU64 = AtomicU64::new(0);
static LATENESS: AtomicU64 = AtomicU64::new(0);
const NONE: u64 = u64::MAX;

fn fired(_: u32) {
    let now = time::now();
    LATENESS.store(now - DEADLINE.load(Ordering::Relaxed), Ordering::Relaxed);
    time::stop_virtual();
}

fn lateness(repetition: u64, wait: fn()) -> u64 {
    // Not always the same distance, so that nothing else falls into step.
    let deadline = time::now() + 3000 + repetition % 16 * 7;
    DEADLINE.store(deadline, Ordering::Relaxed);
    LATENESS.store(NONE, Ordering::Relaxed);
    time::start_virtual(deadline);
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
    gic::enable(board.timer.virtual_);
    cpu::unmask_interrupts();
    batch::sum(name, |repetition| lateness(repetition, cpu::yield_now));
    cpu::mask_interrupts();
}

/// From WFI.
pub(super) fn sleeping(board: &'static Board, name: &str) {
    trap::on_interrupt(fired);
    gic::enable(board.timer.virtual_);
    batch::sum(name, |repetition| {
        lateness(repetition, || {
            // Masked, so that an interrupt between the check and WFI is not slept over.
            cpu::wait_for_interrupt();
            cpu::unmask_interrupts();
            cpu::instruction_barrier();
            cpu::mask_interrupts();
        })
    });
}
