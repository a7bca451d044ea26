//! Reads and writes where nothing is.

use guest::board::Board;
use guest::mmio::Registers;
use guest::{println, trap};

use super::NOWHERE;
use crate::report::Outcome;

/// Just behind RAM, between devices, low, and high: outside of what any second stage of translation covers.
fn places(board: &Board) -> impl Iterator<Item = usize> {
    let ram = board.ram;
    [ram.end(), 0x0f00_0000, 0x10, NOWHERE as usize, 0x7f_ffff_f000]
        .into_iter()
        .filter(move |place| !(ram.start..ram.end()).contains(place))
}

/// With exception vectors: reports what the guest got at each place.
pub(super) fn run(board: &'static Board) -> Outcome {
    for place in places(board) {
        // SAFETY: no memory is there.
        let nothing = unsafe { Registers::new(place) };
        let write = trap::expect(|| nothing.write64(0, 0x5555));
        let mut value = 0;
        let read = trap::expect(|| value = nothing.read32(0));
        println!("probe: info wild-write {place:#x}: read {value:#x}");
        for trap in [write, read].into_iter().flatten() {
            println!("probe: info wild-write {place:#x}: {trap}");
        }
    }
    Ok(())
}

/// Without.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info writing behind RAM without vectors");
    trap::lose_vectors();
    // SAFETY: no memory is there.
    let nothing = unsafe { Registers::new(board.ram.end()) };
    nothing.write64(0, 0x5555);
    Ok(())
}
