//! All CPUs start, all count, all stop, and start again.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest::board::{Board, MAX_CPUS};
use guest::once::Once;
use guest::{cpu, println, smp};

use crate::report::{Outcome, equal, wait};

static COUNTS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];
static STOP: AtomicBool = AtomicBool::new(false);
static BOARD: Once<&'static Board> = Once::new();

pub(super) fn run(board: &'static Board) -> Outcome {
    BOARD.set(board);
    for round in 0..3 {
        STOP.store(false, Ordering::SeqCst);
        for index in 1..board.cpu_count {
            equal(smp::start(board, index, count), 0, "start")?;
        }
        let before: [u64; MAX_CPUS] =
            core::array::from_fn(|index| counter(index).load(Ordering::SeqCst));
        for (index, before) in before.iter().enumerate().take(board.cpu_count).skip(1) {
            wait("a CPU does not count", index as u64, || {
                counter(index).load(Ordering::SeqCst) > before + 1000
            })?;
        }
        STOP.store(true, Ordering::SeqCst);
        for index in 1..board.cpu_count {
            wait("a CPU does not stop", index as u64, || smp::is_off(board, index))?;
        }
        println!("probe: info smp round={round} cpus={}", board.cpu_count);
    }
    Ok(())
}

fn counter(index: usize) -> &'static AtomicU64 {
    &COUNTS[index % MAX_CPUS]
}

extern "C" fn count(index: usize) {
    while !STOP.load(Ordering::SeqCst) {
        counter(index).fetch_add(1, Ordering::SeqCst);
        cpu::yield_now();
    }
    if let Some(board) = BOARD.get() {
        let answer = smp::stop(board);
        println!("probe: FAIL smp stop came back ({answer})");
    }
}
