//! The generic timer: its virtual counter, and the virtual timer.

use super::cpu;
use crate::board::Board;
use crate::{read_register, write_register};

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

/// Instructions in that many ticks, on an emulator that executes one in a nanosecond.
pub fn instructions(ticks: u64) -> u64 {
    ticks * 1000 / (frequency() / 1_000_000)
}

/// Has the timer fire at `deadline`.
#[inline(always)]
pub fn start(deadline: u64) {
    write_register!("cntv_cval_el0", deadline);
    write_register!("cntv_ctl_el0", ENABLE);
}

/// Stops the timer.
#[inline(always)]
pub fn stop() {
    write_register!("cntv_ctl_el0", 0);
}

/// The id of the timer's interrupt.
pub fn interrupt(board: &Board) -> u32 {
    board.devices.timer.virtual_
}
