//! Two CPUs send each other all sixteen interrupts as fast as they can, for `seconds` (2). A CPU could do nothing but
//! answer interrupts then, so that the second one waits after each sixteen until the first has got on.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest::board::Board;
use guest::once::Once;
use guest::{cpu, interrupt, println, smp, time, trap};

use crate::report::{Outcome, check, equal};

static RECEIVED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
/// What the first CPU has sent.
static SENT: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);
static FIRST_CPU: Once<u64> = Once::new();

pub(super) fn run(board: &'static Board) -> Outcome {
    let Some(other) = board.cpus().get(1) else {
        println!("probe: info ipi-storm needs a second CPU");
        return Ok(());
    };
    FIRST_CPU.set(interrupt::own_cpu());
    trap::on_interrupt(|id| {
        if let Some(count) = RECEIVED.get(id.wrapping_sub(interrupt::ipi(0)) as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (0..16).map(interrupt::ipi).for_each(interrupt::enable);
    equal(smp::start(board, 1, answer), 0, "cpu_on")?;
    cpu::unmask_interrupts();
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 2));
    while time::now() < end {
        let sent = SENT.fetch_add(1, Ordering::Relaxed);
        interrupt::send(interrupt::ipi(sent as u32), *other);
        cpu::yield_now();
    }
    STOP.store(true, Ordering::SeqCst);
    time::spin_ms(50);
    cpu::mask_interrupts();
    let total: u64 = RECEIVED.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    let sent = SENT.load(Ordering::Relaxed);
    println!("probe: info ipi-storm sent={sent} received={total}");
    for (id, count) in RECEIVED.iter().enumerate() {
        check(count.load(Ordering::Relaxed) > 0, "never received", id as u64)?;
    }
    Ok(())
}

extern "C" fn answer(_: usize) {
    interrupt::start();
    (0..16).map(interrupt::ipi).for_each(interrupt::enable);
    cpu::unmask_interrupts();
    let first = FIRST_CPU.get().copied().unwrap_or(0);
    while !STOP.load(Ordering::SeqCst) {
        let before = SENT.load(Ordering::Relaxed);
        for number in 0..16 {
            interrupt::send(interrupt::ipi(number), first);
        }
        while SENT.load(Ordering::Relaxed) == before && !STOP.load(Ordering::SeqCst) {
            cpu::yield_now();
        }
    }
}
