//! Calls to PSCI, with sense and with nonsense.

use guest::arch::gic;
use guest::arch::psci::{call, function};
use guest::board::Board;
use guest::{println, smp, time};

use crate::report::{Outcome, check, equal};
use crate::test::NOWHERE;

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const INVALID_ADDRESS: i64 = -9;
const ON: i64 = 0;
const OFF: i64 = 1;
/// An affinity that no CPU has.
const NO_CPU: u64 = 0x7f_00ff_fffe;

pub(super) fn run(board: &'static Board) -> Outcome {
    let psci = |function, a, b, c| narrow(call(board.devices.conduit, function, a, b, c));
    let own = gic::own_cpu();
    check(
        psci(function::VERSION, 0, 0, 0) >= 2,
        "version",
        psci(function::VERSION, 0, 0, 0) as u64,
    )?;
    equal(psci(function::FEATURES, function::VERSION, 0, 0), SUCCESS, "features of version")?;
    equal(psci(function::FEATURES, function::CPU_ON, 0, 0), SUCCESS, "features of cpu_on")?;
    equal(psci(function::FEATURES, function::UNKNOWN, 0, 0), NOT_SUPPORTED, "features of nothing")?;
    for nonsense in
        [function::UNKNOWN, 0, 0xffff_ffff, 0x8400_ffff, 0xc400_7777, 0x9500_0000, 0x1234_5678]
    {
        equal(psci(nonsense, u64::MAX, 1 << 63, 3), NOT_SUPPORTED, "unknown function")?;
    }
    equal(psci(function::AFFINITY_INFO, own, 0, 0), ON, "own state")?;
    equal(psci(function::AFFINITY_INFO, NO_CPU, 0, 0), INVALID_PARAMETERS, "state of no CPU")?;
    equal(psci(function::CPU_ON, own, smp::entry(), 0), ALREADY_ON, "cpu_on of itself")?;
    equal(psci(function::CPU_ON, NO_CPU, smp::entry(), 0), INVALID_PARAMETERS, "cpu_on of no CPU")?;
    equal(psci(function::CPU_ON, u64::MAX, u64::MAX, 0), INVALID_PARAMETERS, "cpu_on of nonsense")?;
    if let Some(other) = board.cpus().get(1) {
        equal(smp::state(board, *other), OFF, "state of the second CPU")?;
        equal(smp::start(board, 1, sleep), SUCCESS, "cpu_on of the second CPU")?;
        let again = smp::start(board, 1, sleep);
        check(again == ALREADY_ON || again == -5, "cpu_on again", again as u64)?;
        time::spin_ms(50);
        equal(smp::state(board, *other), ON, "state of the second CPU, on")?;
        equal(smp::start(board, 1, sleep), ALREADY_ON, "cpu_on of a CPU that is on")?;
    }
    let smccc = psci(function::SMCCC_VERSION, 0, 0, 0);
    println!("probe: info psci version={:#x} smccc={smccc:#x}", psci(function::VERSION, 0, 0, 0));
    Ok(())
}

/// Starts a CPU where there is no memory: refused, or only that guest's own trouble.
pub(super) fn entry(board: &'static Board) -> Outcome {
    let Some(other) = board.cpus().get(1) else {
        println!("probe: info psci-entry needs a second CPU");
        return Ok(());
    };
    let answer = narrow(call(board.devices.conduit, function::CPU_ON, *other, NOWHERE, 0));
    println!("probe: info psci-entry {answer}");
    check(
        [SUCCESS, INVALID_ADDRESS, INVALID_PARAMETERS].contains(&answer),
        "cpu_on nowhere",
        answer as u64,
    )?;
    time::spin_ms(200);
    Ok(())
}

/// Answers to 32-bit functions are 32 bits wide.
fn narrow(answer: i64) -> i64 {
    i64::from(answer as i32)
}

extern "C" fn sleep(_: usize) {
    guest::cpu::halt();
}
