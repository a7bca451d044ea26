//! Jumps to where nothing is.

use core::arch::asm;

use guest::board::Board;
use guest::{cpu, println, trap};

use crate::report::Outcome;

/// Neither RAM nor a device of any machine this runs on.
pub(super) const NOWHERE: u64 = 0xdead_0000;

/// With exception vectors: reports what the guest got, when it got anything.
pub(super) fn run(_: &'static Board) -> Outcome {
    println!("probe: info jump to {NOWHERE:#x}");
    let trap = trap::expect_branch(|| branch(NOWHERE));
    match trap {
        Some(trap) => {
            println!("probe: info jump gave esr={:#x} far={:#x}", trap.syndrome, trap.address)
        }
        None => println!("probe: info jump came back"),
    }
    Ok(())
}

/// Without: the vectors are nowhere too.
pub(super) fn crash(_: &'static Board) -> Outcome {
    println!("probe: info jump to {NOWHERE:#x} without vectors");
    cpu::set_vectors(NOWHERE as usize);
    branch(NOWHERE);
    Ok(())
}

pub(super) fn branch(address: u64) {
    // SAFETY: what is there traps, and `expect_branch` returns behind the call.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}
