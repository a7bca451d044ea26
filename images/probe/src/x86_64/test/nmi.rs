//! An NMI that a CPU sends to itself comes at once, masked or not (SDM vol. 3A, 6.7).

use guest::arch::lapic;
use guest::board::Board;
use guest::{cpu, time, trap};

use crate::report::{Outcome, check};

/// The delivery mode of an NMI.
const NMI: u32 = 4 << 8;

pub(super) fn run(_: &'static Board) -> Outcome {
    cpu::mask_interrupts();
    for round in 0..10 {
        let trap = trap::expect(|| {
            lapic::send(lapic::id(), NMI);
            time::spin_ms(100);
        });
        check(trap.is_some_and(|trap| trap.vector == 2), "no NMI in round", round)?;
    }
    Ok(())
}
