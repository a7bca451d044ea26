//! How a test ends.

use guest::{cpu, time};

/// Why a test failed: a sentence and the number that shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) what: &'static str,
    pub(crate) value: u64,
}

/// What a test returns.
pub(crate) type Outcome = Result<(), Failure>;

/// A failure, when `holds` does not.
pub(crate) fn check(holds: bool, what: &'static str, value: u64) -> Outcome {
    if holds { Ok(()) } else { Err(Failure { what, value }) }
}

/// A failure, when `done` does not come to hold: after a time that is long for a slow machine with other work.
pub(crate) fn wait(what: &'static str, value: u64, done: impl Fn() -> bool) -> Outcome {
    const PATIENCE_MS: u64 = 20_000;
    let end = time::now() + time::ticks_of_ms(PATIENCE_MS);
    while !done() {
        cpu::yield_now();
        check(time::now() < end, what, value)?;
    }
    Ok(())
}

/// A failure, when `found` is not `expected`.
pub(crate) fn equal(found: i64, expected: i64, what: &'static str) -> Outcome {
    check(found == expected, what, found as u64)
}
