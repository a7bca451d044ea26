//! Accesses to a device by instructions that leave a hypervisor no syndrome (ISV = 0): pairs, write-back, atomics.

use core::arch::asm;

use guest::board::Board;
use guest::{println, trap};

use crate::report::Outcome;

pub(super) fn run(board: &'static Board) -> Outcome {
    let address = board.console.address() + guest::arch::console::FR;
    println!("probe: info ldp-mmio");
    // SAFETY: reads of device registers.
    let pair = trap::expect(|| unsafe {
        asm!("ldp w9, w10, [{}]", in(reg) address, out("x9") _, out("x10") _, options(nostack));
    });
    // SAFETY: as above.
    let write_back = trap::expect(|| unsafe {
        asm!("ldr w9, [{}], #4", inout(reg) address => _, out("x9") _, options(nostack));
    });
    // SAFETY: as above; the store half does not happen when the load half traps, and the flags are read-only.
    let exclusive = trap::expect(|| unsafe {
        asm!("ldxr w9, [{}]", "clrex", in(reg) address, out("x9") _, options(nostack));
    });
    for (name, trap) in [("pair", pair), ("write-back", write_back), ("exclusive", exclusive)] {
        println!("probe: info ldp-mmio {name} esr={:#x}", trap.map_or(0, |trap| trap.syndrome));
    }
    Ok(())
}
