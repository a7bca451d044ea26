//! Calls to the hypervisor (Linux, Documentation/virt/kvm/x86/hypercalls.rst).

use core::arch::asm;

use guest::arch::cpu::{self, feature};

/// Function numbers.
pub(crate) mod function {
    /// KVM's VAPIC_POLL_IRQ, which does nothing.
    pub(crate) const POLL: u64 = 1;
    /// Nothing that anybody implements.
    pub(crate) const UNKNOWN: u64 = 0x7777;
}

/// The instruction that calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Instruction {
    /// `vmcall`, of Intel.
    Vmcall,
    /// `vmmcall`, of AMD.
    Vmmcall,
}

/// The CPU's own, if there is a hypervisor.
pub(crate) fn instruction() -> Option<Instruction> {
    if !cpu::has(feature::HYPERVISOR) {
        return None;
    }
    let vendor = cpu::cpuid(0, 0).ecx.to_le_bytes();
    Some(if &vendor == b"ntel" { Instruction::Vmcall } else { Instruction::Vmmcall })
}

/// Calls, and returns what comes back in RAX.
#[inline(always)]
pub(crate) fn call(instruction: Instruction, function: u64) -> i64 {
    let result: u64;
    match instruction {
        // SAFETY: RAX alone changes; the functions called leave memory alone. RBX is Rust's, and is passed as it is.
        Instruction::Vmcall => unsafe {
            asm!("vmcall", inlateout("rax") function => result, in("rcx") 0, in("rdx") 0, in("rsi") 0, options(nostack));
        },
        // SAFETY: as above.
        Instruction::Vmmcall => unsafe {
            asm!("vmmcall", inlateout("rax") function => result, in("rcx") 0, in("rdx") 0, in("rsi") 0, options(nostack));
        },
    }
    result as i64
}
