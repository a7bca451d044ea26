//! Two CPUs send each other all sixteen interrupts as fast as they can, for `seconds` (2).

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest::board::Board;
use guest::once::Once;
use guest::{cpu, interrupt, println, smp, time, trap};

use crate::report::{Outcome, check, equal};

static RECEIVED: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
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
    let mut sent = 0;
    while time::now() < end {
        interrupt::send(interrupt::ipi(sent), *other);
        sent += 1;
        cpu::yield_now();
    }
    STOP.store(true, Ordering::SeqCst);
    time::spin_ms(50);
    cpu::mask_interrupts();
    let total: u64 = RECEIVED.iter().map(|count| count.load(Ordering::Relaxed)).sum();
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
    let mut id = 0;
    while !STOP.load(Ordering::SeqCst) {
        interrupt::send(interrupt::ipi(id), first);
        id += 1;
        cpu::yield_now();
    }
}
