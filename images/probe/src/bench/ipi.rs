//! Interrupts from CPU to CPU.

use core::sync::atomic::{AtomicU64, Ordering};

use guest::board::Board;
use guest::{cpu, interrupt, println, smp, time, trap};

use crate::batch;

const TO_SELF: u32 = interrupt::ipi(1);
const PING: u32 = interrupt::ipi(2);
const PONG: u32 = interrupt::ipi(3);

static COUNT: AtomicU64 = AtomicU64::new(0);
static FIRST_CPU: AtomicU64 = AtomicU64::new(0);

/// From sending to after the handler: acknowledgement and end are within.
pub(super) fn to_self(_: &'static Board, name: &str) {
    let own = interrupt::own_cpu();
    trap::on_interrupt(|_| {
        COUNT.store(COUNT.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    });
    interrupt::enable(TO_SELF);
    cpu::unmask_interrupts();
    batch::measure(name, || {
        let before = COUNT.load(Ordering::Relaxed);
        interrupt::send(TO_SELF, own);
        while COUNT.load(Ordering::Relaxed) == before {
            cpu::yield_now();
        }
    });
    cpu::mask_interrupts();
}

/// To another CPU, which sleeps until it comes and answers with one.
pub(super) fn ping_pong(board: &'static Board, name: &str) {
    let Some(other) = board.cpus().get(1) else {
        println!("probe: info {name} needs a second CPU");
        return;
    };
    FIRST_CPU.store(interrupt::own_cpu(), Ordering::Relaxed);
    trap::on_interrupt(|id| match id {
        PING => interrupt::send(PONG, FIRST_CPU.load(Ordering::Relaxed)),
        PONG => {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    });
    interrupt::enable(PONG);
    COUNT.store(0, Ordering::Relaxed);
    let answer = smp::start(board, 1, answer);
    if answer != 0 {
        println!("probe: FAIL {name} no second CPU ({answer})");
        return;
    }
    // The other CPU's first answer says that it is there.
    while COUNT.load(Ordering::Relaxed) == 0 {
        interrupt::send(PING, *other);
        cpu::unmask_interrupts();
        time::spin_ms(10);
        cpu::mask_interrupts();
    }
    time::spin_ms(10);
    batch::measure(name, || {
        let before = COUNT.load(Ordering::Relaxed);
        interrupt::send(PING, *other);
        while COUNT.load(Ordering::Relaxed) == before {
            cpu::sleep();
        }
    });
}

extern "C" fn answer(_: usize) {
    interrupt::start();
    interrupt::enable(PING);
    cpu::unmask_interrupts();
    cpu::halt();
}
