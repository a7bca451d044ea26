//! What is kept of a VM's crash, until the next one.

use alloc::string::String;
use alloc::vec::Vec;
use hv_core::exit::Fault;
use hv_core::time::Instant;
use hv_core::vcpu::RegisterDump;

/// Why a VM crashed, and where it was.
#[derive(Clone, Debug)]
pub struct CrashRecord {
    /// When.
    pub at: Instant,
    /// Which vCPU.
    pub vcpu: u8,
    /// What happened.
    pub fault: Fault,
    /// More about that: the instruction that cannot be emulated.
    pub detail: Option<String>,
    /// The address of the instruction.
    pub pc: u64,
    /// That instruction, if it was in RAM.
    pub instruction: Option<u32>,
    /// Name and value of every register.
    pub registers: RegisterDump,
    /// The exits before, the oldest first.
    pub last_exits: Vec<String>,
}
