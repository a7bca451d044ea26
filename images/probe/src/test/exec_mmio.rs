//! Executes a device's registers.

use guest::board::Board;
use guest::{cpu, println, trap};

use super::jump;
use crate::report::Outcome;

/// With exception vectors.
pub(super) fn run(board: &'static Board) -> Outcome {
    println!("probe: info executing the UART");
    let trap = trap::expect_branch(|| jump::branch(board.uart.address() as u64));
    match trap {
        Some(trap) => println!("probe: info exec-mmio gave esr={:#x}", trap.syndrome),
        None => println!("probe: info exec-mmio came back"),
    }
    Ok(())
}

/// Without.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info executing the UART without vectors");
    cpu::set_vectors(jump::NOWHERE as usize);
    jump::branch(board.uart.address() as u64);
    Ok(())
}
