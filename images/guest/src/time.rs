//! Time, in ticks of the CPU's counter, and one timer for each CPU.

pub use crate::arch::clock::{frequency, instructions, interrupt, now, now_in_order, start, stop};
use crate::cpu;

/// Ticks in that many milliseconds.
pub fn ticks_of_ms(milliseconds: u64) -> u64 {
    frequency() * milliseconds / 1000
}

/// Milliseconds in that many ticks.
pub fn ms_of_ticks(ticks: u64) -> u64 {
    ticks * 1000 / frequency()
}

/// Waits, with the CPU busy.
pub fn spin_ms(milliseconds: u64) {
    let end = now() + ticks_of_ms(milliseconds);
    while now() < end {
        cpu::yield_now();
    }
}
