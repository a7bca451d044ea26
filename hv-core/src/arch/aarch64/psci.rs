//! The host's firmware: starting CPUs, and ending the machine. PSCI, Arm DEN 0022.

use super::insn;
use smccc::psci::{PSCI_CPU_ON_64, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET};
use spin::Once;

/// The instruction that calls the firmware.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Conduit {
    /// HVC: there is another hypervisor below.
    Hvc,
    /// SMC.
    Smc,
}

static CONDUIT: Once<Option<Conduit>> = Once::new();

/// Notes how the firmware is called; `None` where there is none.
pub(super) fn init(conduit: Option<Conduit>) {
    CONDUIT.call_once(|| conduit);
}

fn call(function: u32, args: [u64; 3]) -> i64 {
    const NOT_SUPPORTED: i64 = -1;
    match CONDUIT.get().copied().flatten() {
        Some(conduit) => {
            // Return values are 32 bits wide for most functions.
            let value = insn::firmware_call(conduit, u64::from(function), args);
            i64::from(value as u32 as i32)
        }
        None => NOT_SUPPORTED,
    }
}

/// Why a CPU did not start. DEN 0022, 5.2.2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct StartError(i64);

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let what = match self.0 {
            -1 => "not supported",
            -2 => "invalid parameters",
            -3 => "denied",
            -4 => "already on",
            -5 => "on pending",
            -6 => "internal failure",
            -9 => "invalid address",
            _ => "unknown error",
        };
        write!(f, "{what} ({})", self.0)
    }
}

/// Starts the CPU with these affinity fields at `entry`, with `argument` in its `x0`.
///
/// # Errors
///
/// The firmware's own code.
pub(super) fn cpu_on(mpidr: u64, entry: u64, argument: u64) -> Result<(), StartError> {
    match call(PSCI_CPU_ON_64, [mpidr, entry, argument]) {
        0 => Ok(()),
        code => Err(StartError(code)),
    }
}

/// Switches the machine off; returns only if the firmware cannot.
pub(super) fn system_off() {
    call(PSCI_SYSTEM_OFF, [0; 3]);
}

/// Restarts the machine; returns only if the firmware cannot.
pub(super) fn system_reset() {
    call(PSCI_SYSTEM_RESET, [0; 3]);
}
