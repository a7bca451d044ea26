//! An interrupt comes between the steps of a repeated instruction (SDM vol. 2B, REP), and not behind all of them, also if another
//! guest had the CPU meanwhile.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guest::board::Board;
use guest::{cpu, interrupt, println, ram, time, trap};

use crate::report::{Outcome, check, wait};

/// So many that other guests have the CPU in between.
const BYTES: usize = 4 << 20;

/// The last byte that is written.
static LAST: AtomicUsize = AtomicUsize::new(0);
static FIRED: AtomicBool = AtomicBool::new(false);
static WAS_BETWEEN: AtomicBool = AtomicBool::new(false);

fn fired(_: u32) {
    let last = core::ptr::with_exposed_provenance::<u8>(LAST.load(Ordering::Relaxed));
    // SAFETY: a byte of RAM, by `fill`.
    WAS_BETWEEN.store(unsafe { last.read_volatile() } == 0, Ordering::Relaxed);
    FIRED.store(true, Ordering::Relaxed);
    time::stop();
}

/// Writes to RAM; how long it took.
fn fill(start: usize) -> u64 {
    LAST.store(start + BYTES - 1, Ordering::Relaxed);
    let begin = time::now();
    // SAFETY: RAM in which nothing lies, by `run`.
    unsafe {
        asm!("rep stosb", inout("rcx") BYTES => _, inout("rdi") start => _, in("al") 1u8,
            options(preserves_flags));
    }
    time::now() - begin
}

pub(super) fn run(board: &'static Board) -> Outcome {
    let middle = board.ram.start + board.ram.size / 2;
    let mut starts = (middle..board.ram.end()).step_by(BYTES);
    let free = ram::free_pages(board).skip_while(|page| *page < middle).count();
    let is_free = starts.len() >= 2 && free * ram::PAGE >= board.ram.end() - middle;
    check(
        is_free,
        "something lies in the middle of RAM, or there is too little",
        board.ram.size as u64,
    )?;
    let first = starts.next();
    // The time that it takes without interrupts.
    let ticks = first.map_or(0, fill);
    trap::on_interrupt(fired);
    interrupt::enable(time::interrupt(board));
    cpu::unmask_interrupts();
    let mut outcome = Ok(());
    for (start, round) in starts.zip(1..) {
        FIRED.store(false, Ordering::Relaxed);
        time::start(time::now() + ticks / 2);
        let took = fill(start);
        outcome = wait("no interrupt", round, || FIRED.load(Ordering::Relaxed));
        if outcome.is_err() {
            break;
        }
        println!("probe: info round={round} undisturbed={ticks} took={took}");
        // On a machine with other work, the interrupt's time may be later than was thought.
        outcome = check(WAS_BETWEEN.load(Ordering::Relaxed), "interrupts come too late", round);
        if outcome.is_ok() {
            break;
        }
    }
    cpu::mask_interrupts();
    outcome
}
