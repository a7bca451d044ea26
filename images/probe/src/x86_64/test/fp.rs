//! x87, SSE and AVX registers keep their values for `seconds` (5), whoever else runs. `seed` (1) makes guests differ.

use core::arch::asm;

use guest::arch::cpu::{self, feature};
use guest::board::Board;
use guest::{println, read_control, time, write_control};

use crate::report::{Outcome, check};

/// Bit of ECX of CPUID's leaf 1.
const AVX: u32 = 28;
const CR4_OSXSAVE: u64 = 1 << 18;
/// The legacy area, the header, and the upper halves of the AVX registers.
const BYTES: usize = 512 + 64 + 256;
const WORDS: usize = BYTES / 8;
/// Words of the area: of the ST registers, of the XMM registers, of the upper halves.
const ST: core::ops::Range<usize> = 4..20;
const XMM: core::ops::Range<usize> = 20..52;
const YMM: core::ops::Range<usize> = 72..104;
const HEADER: usize = 64;

#[repr(C, align(64))]
struct State([u64; WORDS]);

/// The components that are tested, as XCR0 has them; without XSAVE, `fxsave` has the first two.
fn components() -> Option<u64> {
    if !cpu::has(feature::XSAVE) {
        return None;
    }
    write_control!("cr4", read_control!("cr4") | CR4_OSXSAVE);
    let components: u32 = if cpu::has(AVX) { 7 } else { 3 };
    // SAFETY: the CPU has these components.
    unsafe { asm!("xsetbv", in("ecx") 0, in("eax") components, in("edx") 0, options(nostack)) };
    Some(u64::from(components))
}

pub(super) fn run(board: &'static Board) -> Outcome {
    let components = components();
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 5));
    let mut random = board.number("seed", 1) * 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random
    };
    let mut rounds = 0_u64;
    while time::now() < end {
        let mut expected = State([0; WORDS]);
        for (index, word) in expected.0.iter_mut().enumerate() {
            if ST.contains(&index) {
                // Each has 80 bits of 128.
                *word = if index % 2 == 0 { next() } else { next() & 0xffff };
            } else if XMM.contains(&index) || YMM.contains(&index) {
                *word = next();
            }
        }
        // Round towards zero, all exceptions masked; all registers hold something.
        expected.0[0] = 0x0c7f | 0xff << 32;
        expected.0[3] = 0x7f80;
        expected.0[HEADER] = components.unwrap_or(0);
        let mut found = State([0; WORDS]);
        load(&expected, components);
        time::spin_ms(2);
        store(&mut found, components);
        let checked = |index: &usize| {
            ST.contains(index)
                || XMM.contains(index)
                || (YMM.contains(index) && components.is_some_and(|components| components & 4 != 0))
        };
        for index in (0..WORDS).filter(checked) {
            let same = found.0.get(index) == expected.0.get(index);
            check(same, "a register changed, as a word of the state", index as u64)?;
        }
        rounds += 1;
    }
    println!("probe: info fp components={:#x} rounds={rounds}", components.unwrap_or(0));
    Ok(())
}

fn load(state: &State, components: Option<u64>) {
    // SAFETY: Rust uses none of these registers on this target.
    unsafe {
        match components {
            Some(mask) => {
                asm!("xrstor64 [{}]", in(reg) state, in("eax") mask as u32, in("edx") 0, options(nostack));
            }
            None => asm!("fxrstor64 [{}]", in(reg) state, options(nostack)),
        }
    }
}

fn store(state: &mut State, components: Option<u64>) {
    // SAFETY: the area is as large as these components need.
    unsafe {
        match components {
            Some(mask) => {
                asm!("xsave64 [{}]", in(reg) state, in("eax") mask as u32, in("edx") 0, options(nostack));
            }
            None => asm!("fxsave64 [{}]", in(reg) state, options(nostack)),
        }
    }
}
