//! Every register of the local APIC and of the IOAPIC, in every width, read and written with anything.

use guest::arch::lapic::{self, Mode};
use guest::arch::mmio::Registers;
use guest::arch::{cpu, ioapic};
use guest::board::Board;
use guest::{println, trap};

use crate::report::{Outcome, check};

const LAPIC_BYTES: usize = 0x1000;
/// Its command would start, stop and interrupt CPUs: not a matter of registers.
const COMMAND: core::ops::Range<usize> = 0x300..0x320;
const IOAPIC_REGISTERS: u32 = 0x100;
const X2APIC: core::ops::Range<u32> = 0x800..0x900;
const PROTECTION: u64 = trap::vector::PROTECTION;

/// Numbers without a pattern.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

pub(super) fn run(_: &'static Board) -> Outcome {
    cpu::mask_interrupts();
    let mut random = Random(0x1234_5678_9abc_def1);
    match lapic::mode() {
        Mode::Page => sweep(lapic::page(), &mut random)?,
        Mode::Msrs => msrs(&mut random)?,
    }
    if let Some(ioapic) = ioapic::registers() {
        for index in 0..IOAPIC_REGISTERS {
            ioapic.write32(ioapic::SELECT, index);
            ioapic.write32(ioapic::WINDOW, random.next() as u32 | 1 << 16);
            ioapic.read32(ioapic::WINDOW);
            ioapic.write32(ioapic::SELECT, random.next() as u32);
        }
        sweep(ioapic, &mut random)?;
    }
    Ok(())
}

fn sweep(registers: Registers, random: &mut Random) -> Outcome {
    for offset in (0..LAPIC_BYTES).step_by(4) {
        let read = trap::expect(|| {
            registers.read8(offset);
            registers.read8(offset + 3);
            registers.read16(offset + 2);
            registers.read32(offset);
            if offset % 8 == 0 {
                registers.read64(offset);
            }
        });
        check(read.is_none(), "a trap of a read", offset as u64)?;
        if COMMAND.contains(&offset) {
            continue;
        }
        let value = random.next();
        let write = trap::expect(|| match value >> 61 {
            0 | 1 => registers.write8(offset + 1, value as u8),
            2 => registers.write16(offset, value as u16),
            3 if offset % 8 == 0 => registers.write64(offset, value),
            _ => registers.write32(offset, value as u32),
        });
        check(write.is_none(), "a trap of a write", offset as u64)?;
    }
    Ok(())
}

fn msrs(random: &mut Random) -> Outcome {
    let mut traps = 0;
    for index in X2APIC {
        let read = trap::expect(|| {
            cpu::read_msr(index);
        });
        let value = random.next();
        let is_command = COMMAND.contains(&((index as usize & 0xff) << 4));
        let write = (!is_command).then(|| trap::expect(|| cpu::write_msr(index, value))).flatten();
        for trap in [read, write].into_iter().flatten() {
            check(trap.vector == PROTECTION, "vector", trap.vector)?;
            traps += 1;
        }
    }
    println!("probe: info apic {traps} traps of {} MSRs", X2APIC.len());
    Ok(())
}
