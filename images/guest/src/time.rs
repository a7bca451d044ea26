//! The generic timer.

use crate::{cpu, read_register, write_register};

/// Timer control: it counts.
pub const ENABLE: u64 = 1;
/// Timer control: its interrupt is kept back.
pub const MASKED: u64 = 2;
/// Timer control: its time has come.
pub const FIRED: u64 = 4;

/// The virtual counter.
#[inline(always)]
pub fn now() -> u64 {
    read_register!("cntvct_el0")
}

/// The virtual counter, read when all before it is done.
#[inline(always)]
pub fn now_in_order() -> u64 {
    cpu::instruction_barrier();
    now()
}

/// Ticks of the counter in a second.
pub fn frequency() -> u64 {
    read_register!("cntfrq_el0")
}

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

/// Has the virtual timer fire at `deadline`.
#[inline(always)]
pub fn start_virtual(deadline: u64) {
    write_register!("cntv_cval_el0", deadline);
    write_register!("cntv_ctl_el0", ENABLE);
}

/// Stops the virtual timer.
#[inline(always)]
pub fn stop_virtual() {
    write_register!("cntv_ctl_el0", 0);
}
