//! Calls to the hypervisor that make no sense.

use guest::board::Board;
use guest::{println, trap};

use crate::arch::hypercall::{self, Instruction};
use crate::report::{Outcome, check};

/// KVM's answer to a function that it does not know.
const UNKNOWN: i64 = -1000;

pub(super) fn run(_: &'static Board) -> Outcome {
    for instruction in [Instruction::Vmcall, Instruction::Vmmcall] {
        for function in [0x7777, u64::MAX, 1 << 63, 0xffff_ffff, 0x4000_0000] {
            let mut answer = 0;
            match trap::expect(|| answer = hypercall::call(instruction, function)) {
                Some(trap) => {
                    println!("probe: info hypercall {instruction:?} {function:#x} {trap}");
                    check(trap.vector == trap::vector::UNDEFINED, "vector", trap.vector)?;
                }
                None => check(answer == UNKNOWN, "an answer to nonsense", answer as u64)?,
            }
        }
    }
    Ok(())
}
