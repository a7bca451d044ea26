//! Bits of control registers, one by one: each is taken and reads back, or is refused by #GP (SDM vol. 3A, 2.5).

use core::arch::asm;

use guest::arch::cpu::{self, feature};
use guest::board::Board;
use guest::{println, read_control, trap, write_control};

use crate::report::{Outcome, check};

const EFER: u32 = 0xc000_0080;
const PROTECTION: u64 = trap::vector::PROTECTION;
const UNDEFINED: u64 = trap::vector::UNDEFINED;
/// PE and PG: without them this is another program. NW, CD: what they do to caches is nobody's business here.
const CR0_KEPT: u64 = 1 | 1 << 31 | 3 << 29;
/// PAE and, where there are five levels, LA57.
const CR4_KEPT: u64 = 1 << 5 | 1 << 12;
/// LME and LMA.
const EFER_KEPT: u64 = 1 << 8 | 1 << 10;
/// Bits that are reserved for ever, or that no guest of ours may have: VMXE and SMXE.
const CR4_REFUSED: u64 = 1 << 13 | 1 << 14 | 1 << 63 | 1 << 40;
/// SVME, and one that is reserved.
const EFER_REFUSED: u64 = 1 << 12 | 1 << 63;

pub(super) fn run(_: &'static Board) -> Outcome {
    let under_hypervisor = cpu::has(feature::HYPERVISOR);
    let cr0 = each("cr0", CR0_KEPT, || read_control!("cr0"), |value| write_control!("cr0", value))?;
    check(cr0 & 0xffff_ffff_0000_0000 == 0, "bits of CR0 that are reserved are taken", cr0)?;
    let cr4 = each("cr4", CR4_KEPT, || read_control!("cr4"), |value| write_control!("cr4", value))?;
    let efer =
        each("efer", EFER_KEPT, || cpu::read_msr(EFER), |value| cpu::write_msr(EFER, value))?;
    if under_hypervisor {
        check(cr4 & CR4_REFUSED == 0, "bits of CR4 that must be refused are taken", cr4)?;
        check(efer & EFER_REFUSED == 0, "bits of EFER that must be refused are taken", efer)?;
    }
    for value in [16, 0xff, u64::MAX] {
        let trap = trap::expect(|| write_control!("cr8", value));
        check(trap.is_some_and(|trap| trap.vector == PROTECTION), "CR8 takes", value)?;
    }
    // XCR0 without x87, and all of it.
    for value in [0_u64, 2, 5, 1 << 62, u64::MAX] {
        // SAFETY: traps, or changes nothing: these are refused.
        let trap = trap::expect(|| unsafe {
            asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack));
        });
        let vector = trap.map_or(0, |trap| trap.vector);
        check(vector == PROTECTION || vector == UNDEFINED, "XCR0 takes", value)?;
    }
    Ok(())
}

/// Toggles each bit but those that are kept; returns those that could be changed.
fn each(
    name: &str,
    kept: u64,
    read: impl Fn() -> u64,
    write: impl Fn(u64),
) -> Result<u64, crate::report::Failure> {
    let before = read();
    let mut taken = 0;
    for bit in (0..64).map(|bit| 1_u64 << bit).filter(|bit| kept & bit == 0) {
        match trap::expect(|| write(before ^ bit)) {
            Some(trap) => check(trap.vector == PROTECTION, "a trap by vector", trap.vector)?,
            None => {
                if read() == before ^ bit {
                    taken |= bit;
                }
                write(before);
            }
        }
        check(read() == before, "a register changed, at bit", bit)?;
    }
    println!("probe: info control {name}={before:#x} changeable={taken:#x}");
    Ok(taken)
}
