//! Unaligned accesses to a device: an alignment fault of the guest's own, as device memory has it. An emulator that
//! lacks this fault passes them on, and then a hypervisor sees them.

use guest::board::Board;
use guest::{println, trap};

use crate::report::{Outcome, check};

const DATA_ABORT: u64 = 0x25;

pub(super) fn run(board: &'static Board) -> Outcome {
    let uart = board.console;
    for offset in [0x19, 0x1a, 0x1b, 0xffe] {
        let mut value = 0;
        let read = trap::expect(|| value = uart.read64(offset));
        let write = trap::expect(|| uart.write16(offset | 1, 0));
        println!(
            "probe: info unaligned-mmio {offset:#x}: read esr={:#x} value={value:#x}, write esr={:#x}",
            read.map_or(0, |trap| trap.syndrome),
            write.map_or(0, |trap| trap.syndrome),
        );
        for trap in [read, write].into_iter().flatten() {
            check(trap.class() == DATA_ABORT, "class", trap.class())?;
        }
    }
    Ok(())
}
