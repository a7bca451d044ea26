//! Reads and writes where nothing is.

use guest::board::Board;
use guest::mmio::Registers;
use guest::{cpu, println, trap};

use super::jump;
use crate::report::Outcome;

/// Just behind RAM, between devices, low, and high: outside of what any address size of stage 2 covers.
fn places(board: &Board) -> [usize; 5] {
    [board.ram.end(), 0x0f00_0000, 0x10, jump::NOWHERE as usize, 0x7f_ffff_f000]
}

/// With exception vectors: reports what the guest got at each place.
pub(super) fn run(board: &'static Board) -> Outcome {
    for place in places(board) {
        // SAFETY: no memory is there.
        let nothing = unsafe { Registers::new(place) };
        let write = trap::expect(|| nothing.write64(0, 0x5555));
        let mut value = 0;
        let read = trap::expect(|| value = nothing.read32(0));
        let syndrome = |trap: Option<trap::Trap>| trap.map_or(0, |trap| trap.syndrome);
        println!(
            "probe: info wild-write {place:#x}: write esr={:#x}, read esr={:#x} value={value:#x}",
            syndrome(write),
            syndrome(read)
        );
    }
    Ok(())
}

/// Without.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info writing behind RAM without vectors");
    cpu::set_vectors(jump::NOWHERE as usize);
    // SAFETY: no memory is there.
    let nothing = unsafe { Registers::new(board.ram.end()) };
    nothing.write64(0, 0x5555);
    Ok(())
}
