//! Executes a device's registers.

use guest::board::Board;
use guest::{println, trap};

use crate::arch;
use crate::report::Outcome;

/// With exception vectors.
pub(super) fn run(board: &'static Board) -> Outcome {
    println!("probe: info executing a device");
    match trap::expect_branch(|| arch::branch(arch::device(board))) {
        Some(trap) => println!("probe: info exec-mmio gave {trap}"),
        None => println!("probe: info exec-mmio came back"),
    }
    Ok(())
}

/// Without.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info executing a device without vectors");
    trap::lose_vectors();
    arch::branch(arch::device(board));
    Ok(())
}
