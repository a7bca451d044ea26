//! All ports, in all widths.

use core::arch::asm;

use guest::arch::port;
use guest::board::Board;
use guest::{println, trap};

use crate::report::Outcome;

/// What this program stands on, or what ends it: the keyboard controller and port 0x92, which reset; the console; ACPI;
/// the reset control register; what ends emulators.
const KEPT: [core::ops::Range<u16>; 7] = [
    0x60..0x68,
    0x90..0x94,
    0xf0..0x100,
    0x3f5..0x400,
    0x5fd..0x610,
    0xcf5..0x0d00,
    0x8900..0x8904,
];

/// Reads every port, or each `step`th.
pub(super) fn run(board: &'static Board) -> Outcome {
    let step = board.number("step", 1) as usize;
    let (mut floating, mut total) = (0, 0);
    for at in (0..=u16::MAX).step_by(step) {
        let values = (port::read8(at), port::read16(at), port::read32(at));
        floating += u32::from(values == (u8::MAX, u16::MAX, u32::MAX));
        total += 1;
    }
    println!("probe: info ports={total} floating={floating}");
    Ok(())
}

/// Writes to every port that is nobody's, or to each `step`th.
pub(super) fn write(board: &'static Board) -> Outcome {
    let step = board.number("step", 1) as usize;
    let is_kept = |at: &u16| KEPT.iter().any(|range| range.contains(at));
    for at in (0..=u16::MAX).step_by(step).filter(|at| !is_kept(at)) {
        port::write8(at, 0x5a);
        port::write16(at, 0xffff);
        port::write32(at, 0);
    }
    Ok(())
}

/// String instructions: to the console, from a port to memory, and from a port to where nothing is.
pub(super) fn string(board: &'static Board) -> Outcome {
    let text = b"probe: info ports-string\r\n";
    let uart = board.console.0;
    // SAFETY: `text` is that long.
    unsafe {
        asm!("rep outsb", inout("rcx") text.len() => _, inout("rsi") text.as_ptr() => _, in("dx") uart,
            options(nostack));
    }
    let mut line = [0_u8; 16];
    // SAFETY: `line` is that long.
    unsafe {
        asm!("rep insb", inout("rcx") line.len() => _, inout("rdi") line.as_mut_ptr() => _, in("dx") 0x21_u16,
            options(nostack));
    }
    println!("probe: info ports-string read {line:x?}");
    for place in [board.ram.end(), super::super::device(board) as usize] {
        let trap = trap::expect(|| {
            // SAFETY: no memory is there.
            unsafe {
                asm!("rep insd", inout("rcx") 3_u64 => _, inout("rdi") place => _, in("dx") 0x80_u16, options(nostack));
            }
        });
        println!("probe: info ports-string to {place:#x}: {:?}", trap.map(|trap| trap.vector));
    }
    Ok(())
}
