//! FP and SIMD registers keep their values for `seconds` (5), whoever else runs. `seed` (1) makes guests differ.

use core::arch::global_asm;

use guest::board::Board;
use guest::{println, time, write_register};

use crate::report::{Outcome, check};

global_asm!(include_str!("fp.S"), options(raw));

/// 32 registers of two words, FPCR, FPSR.
#[repr(C, align(16))]
struct State([u64; 66]);

unsafe extern "C" {
    fn probe_fp_load(state: *const State);
    fn probe_fp_store(state: *mut State);
}

/// Round towards zero, flush to zero.
const FPCR: u64 = 0x01c0_0000;

pub(super) fn run(board: &'static Board) -> Outcome {
    // Access to FP and SIMD is not trapped.
    write_register!("cpacr_el1", 3 << 20);
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 5));
    let mut random = board.number("seed", 1) * 0x9e37_79b9_7f4a_7c15;
    let mut rounds = 0_u64;
    while time::now() < end {
        let mut expected = State([0; 66]);
        for word in &mut expected.0 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *word = random;
        }
        expected.0[64] = FPCR;
        expected.0[65] = random >> 60 & 0xf; // exception flags
        let mut found = State([0; 66]);
        // SAFETY: Rust uses none of these registers on this target; the states are of the size that the code has.
        unsafe { probe_fp_load(&raw const expected) };
        time::spin_ms(2);
        // SAFETY: as above.
        unsafe { probe_fp_store(&raw mut found) };
        for (index, (found, expected)) in found.0.iter().zip(&expected.0).enumerate() {
            check(found == expected, "a register changed, as a word of the state", index as u64)?;
        }
        rounds += 1;
    }
    println!("probe: info fp rounds={rounds}");
    Ok(())
}
