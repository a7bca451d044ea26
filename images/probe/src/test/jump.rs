//! Jumps to where nothing is.

use guest::board::Board;
use guest::{println, trap};

use crate::arch;
use crate::report::Outcome;

/// Neither RAM nor a device of any machine this runs on.
pub(crate) const NOWHERE: u64 = 0xdead_0000;

/// With exception vectors: reports what the guest got, when it got anything.
pub(super) fn run(_: &'static Board) -> Outcome {
    println!("probe: info jump to {NOWHERE:#x}");
    match trap::expect_branch(|| arch::branch(NOWHERE)) {
        Some(trap) => println!("probe: info jump gave {trap}"),
        None => println!("probe: info jump came back"),
    }
    Ok(())
}

/// Without: the vectors are nowhere too.
pub(super) fn crash(_: &'static Board) -> Outcome {
    println!("probe: info jump to {NOWHERE:#x} without vectors");
    trap::lose_vectors();
    arch::branch(NOWHERE);
    Ok(())
}
