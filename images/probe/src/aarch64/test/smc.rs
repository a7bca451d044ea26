//! SMC, which a guest of a hypervisor with calls over HVC should not need: answered or undefined, not more.

use guest::arch::psci::{self, Conduit, function};
use guest::board::Board;
use guest::{println, trap};

use crate::report::{Outcome, check};

pub(super) fn run(_: &'static Board) -> Outcome {
    for function in [function::VERSION, function::UNKNOWN, 0x8200_0000, u64::MAX] {
        let mut answer = 0;
        let trap = trap::expect(|| answer = psci::call(Conduit::Smc, function, 0, 0, 0));
        match trap {
            Some(trap) => {
                check(trap.class() == 0, "SMC traps as class", trap.class())?;
                println!("probe: info smc {function:#x} is undefined");
            }
            None => println!("probe: info smc {function:#x} answers {answer:#x}"),
        }
    }
    Ok(())
}
