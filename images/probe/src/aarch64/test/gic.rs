//! Every register of the interrupt controller, in every width, read and written with anything.

use guest::arch::board::GicAt;
use guest::board::Board;
use guest::mmio::Registers;
use guest::{cpu, println, trap};

use crate::report::{Failure, Outcome};

pub(super) fn run(board: &'static Board) -> Outcome {
    cpu::mask_interrupts();
    match board.devices.gic {
        Some(GicAt::V2 { distributor, cpu }) => {
            sweep("distributor", distributor, 0x1000);
            sweep("cpu interface", cpu, 0x2000);
        }
        Some(GicAt::V3 { distributor, redistributors }) => {
            sweep("distributor", distributor, 0x1_0000);
            sweep("redistributor", redistributors, 0x2_0000);
        }
        None => return Err(Failure { what: "no interrupt controller", value: 0 }),
    }
    Ok(())
}

fn sweep(name: &str, registers: Registers, size: usize) {
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut traps = 0;
    let mut note = |trap: Option<trap::Trap>| traps += trap.map_or(0, |trap| trap.count);
    for offset in (0..size).step_by(4) {
        note(trap::expect(|| {
            registers.read8(offset);
            registers.read8(offset + 3);
            registers.read16(offset + 2);
            registers.read32(offset);
            if offset % 8 == 0 {
                registers.read64(offset);
            }
        }));
    }
    for offset in (0..size).step_by(4) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        note(trap::expect(|| match random >> 61 {
            0 | 1 => registers.write8(offset + 1, random as u8),
            2 => registers.write16(offset, random as u16),
            3 if offset % 8 == 0 => registers.write64(offset, random),
            _ => registers.write32(offset, random as u32),
        }));
    }
    println!("probe: info gic {name}: {traps} traps");
}
