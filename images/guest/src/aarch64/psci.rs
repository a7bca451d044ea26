//! Calls to the firmware or hypervisor: PSCI (ARM DEN 0022) and SMCCC (ARM DEN 0028).

use core::arch::asm;

/// The instruction that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc #0`.
    Hvc,
    /// `smc #0`.
    Smc,
}

/// Function ids.
pub mod function {
    /// Version of PSCI.
    pub const VERSION: u64 = 0x8400_0000;
    /// Sleeps.
    pub const CPU_SUSPEND: u64 = 0xc400_0001;
    /// Stops the calling CPU.
    pub const CPU_OFF: u64 = 0x8400_0002;
    /// Starts another CPU.
    pub const CPU_ON: u64 = 0xc400_0003;
    /// Is that CPU on?
    pub const AFFINITY_INFO: u64 = 0xc400_0004;
    /// Powers the machine off.
    pub const SYSTEM_OFF: u64 = 0x8400_0008;
    /// Resets the machine.
    pub const SYSTEM_RESET: u64 = 0x8400_0009;
    /// Is this function implemented?
    pub const FEATURES: u64 = 0x8400_000a;
    /// Version of the calling convention.
    pub const SMCCC_VERSION: u64 = 0x8000_0000;
    /// Nothing that anybody implements.
    pub const UNKNOWN: u64 = 0x8400_00ff;
}

/// Calls `function` with three arguments, and returns what comes back in x0, as a signed number of 64 bits.
#[inline(always)]
pub fn call(conduit: Conduit, function: u64, a: u64, b: u64, c: u64) -> i64 {
    let result: u64;
    match conduit {
        // SAFETY: the convention keeps all but x0 to x17; callers name functions that leave memory alone.
        Conduit::Hvc => unsafe {
            asm!("hvc #0", inlateout("x0") function => result, inlateout("x1") a => _,
                inlateout("x2") b => _, inlateout("x3") c => _, lateout("x4") _, lateout("x5") _,
                lateout("x6") _, lateout("x7") _, options(nostack));
        },
        // SAFETY: as above.
        Conduit::Smc => unsafe {
            asm!("smc #0", inlateout("x0") function => result, inlateout("x1") a => _,
                inlateout("x2") b => _, inlateout("x3") c => _, lateout("x4") _, lateout("x5") _,
                lateout("x6") _, lateout("x7") _, options(nostack));
        },
    }
    result as i64
}
