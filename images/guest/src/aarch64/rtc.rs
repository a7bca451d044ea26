//! The real-time clock: a PL031 (ARM DDI 0224).

use crate::board::Board;

const DR: usize = 0;

/// Seconds since 1970, if there is a clock.
pub fn seconds(board: &Board) -> Option<u64> {
    board.devices.rtc.map(|rtc| u64::from(rtc.read32(DR)))
}
