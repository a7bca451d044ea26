//! Model-specific registers: all that can be there. What is not must be #GP, and nothing worse.

use guest::arch::cpu;
use guest::board::Board;
use guest::{println, time, trap};

use crate::report::{Outcome, check};

const PROTECTION: u64 = trap::vector::PROTECTION;
/// Where vendors and hypervisors have theirs.
const RANGES: [core::ops::Range<u32>; 6] = [
    0..0x2000,
    0x4000_0000..0x4000_0200,
    0x4b56_4d00..0x4b56_4d10,
    0xc000_0000..0xc000_2000,
    0xc001_0000..0xc001_2000,
    0xffff_fff0..0xffff_ffff,
];
/// What this program stands on: the TSC, where the APIC is, its registers, its deadline, EFER.
const KEPT: [core::ops::RangeInclusive<u32>; 5] =
    [0x10..=0x10, 0x1b..=0x1b, 0x800..=0x8ff, 0x6e0..=0x6e0, 0xc000_0080..=0xc000_0080];

/// Reads every register.
pub(super) fn run(_: &'static Board) -> Outcome {
    let (mut found, mut refused) = (0, 0);
    for index in RANGES.into_iter().flatten() {
        let trap = trap::expect(|| {
            cpu::read_msr(index);
        });
        match trap {
            Some(trap) => {
                check(trap.vector == PROTECTION, "vector", trap.vector)?;
                refused += 1;
            }
            None => found += 1,
        }
    }
    println!("probe: info msrs found={found} refused={refused}");
    Ok(())
}

/// Writes zeros and ones, and what was there before.
pub(super) fn write(_: &'static Board) -> Outcome {
    let (mut taken, mut refused) = (0, 0);
    let is_kept = |index: &u32| KEPT.iter().any(|range| range.contains(index));
    for index in RANGES.into_iter().flatten().filter(|index| !is_kept(index)) {
        let mut before = 0;
        let is_there = trap::expect(|| before = cpu::read_msr(index)).is_none();
        for value in [u64::MAX, 0xffff_ffff, 0, before] {
            match trap::expect(|| cpu::write_msr(index, value)) {
                Some(trap) => {
                    check(trap.vector == PROTECTION, "vector", trap.vector)?;
                    refused += 1;
                }
                None => taken += 1,
            }
        }
        if is_there {
            // What could not be written cannot have changed.
            trap::expect(|| cpu::write_msr(index, before));
        }
    }
    println!("probe: info msrs-write taken={taken} refused={refused}");
    Ok(())
}

/// As many exits as there can be, for `seconds` (2).
pub(super) fn flood(board: &'static Board) -> Outcome {
    const PAT: u32 = 0x277;
    const NOTHING: u32 = 0x1234_5678;
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 2));
    let mut rounds = 0_u64;
    while time::now() < end {
        let pat = cpu::read_msr(PAT);
        cpu::write_msr(PAT, pat);
        for nothing in [NOTHING, 0xc001_1fff] {
            let read = trap::expect(|| {
                cpu::read_msr(nothing);
            });
            let write = trap::expect(|| cpu::write_msr(nothing, rounds));
            for trap in [read, write].into_iter().flatten() {
                check(trap.vector == PROTECTION, "vector", trap.vector)?;
            }
        }
        rounds += 1;
    }
    println!("probe: info msrs-flood rounds={rounds}");
    Ok(())
}
