//! Measuring: batches of repetitions, because a tick of the counter may be many instructions long.

use guest::{println, time};

/// Batches in a measurement.
pub(crate) const BATCHES: u64 = 5;
/// Repetitions in a batch.
pub(crate) const REPETITIONS: u64 = 200;

/// Runs the operation in batches, and prints what one costs.
#[inline(always)]
pub(crate) fn measure(name: &str, operation: impl FnMut()) {
    print(name, &ticks(operation), REPETITIONS);
}

/// Runs the operation in batches; the ticks of each.
#[inline(always)]
pub(crate) fn ticks(mut operation: impl FnMut()) -> [u64; BATCHES as usize] {
    // Once before, so that nothing is measured that happens the first time only.
    operation();
    let mut ticks = [0; BATCHES as usize];
    for batch in &mut ticks {
        let start = time::now_in_order();
        for _ in 0..REPETITIONS {
            operation();
        }
        *batch = time::now_in_order() - start;
    }
    ticks
}

/// As [`measure`], for an operation that returns the ticks that it took itself.
#[inline(always)]
pub(crate) fn sum(name: &str, mut operation: impl FnMut(u64) -> u64) {
    operation(0);
    let mut ticks = [0; BATCHES as usize];
    for batch in &mut ticks {
        for repetition in 0..REPETITIONS {
            *batch += operation(repetition);
        }
    }
    print(name, &ticks, REPETITIONS);
}

/// Prints the minimum and the average of the batches' means.
pub(crate) fn print(name: &str, ticks: &[u64], repetitions: u64) {
    let tenths = |ticks: u64| time::instructions(ticks) * 10 / repetitions;
    let minimum = tenths(ticks.iter().copied().min().unwrap_or(0));
    let average = tenths(ticks.iter().sum::<u64>()) / ticks.len() as u64;
    println!(
        "probe: bench {name} min={}.{} avg={}.{} n={}",
        minimum / 10,
        minimum % 10,
        average / 10,
        average % 10,
        ticks.len() as u64 * repetitions
    );
}
