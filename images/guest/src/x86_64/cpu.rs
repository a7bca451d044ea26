//! Single instructions of the CPU.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};

/// CPUID with this leaf and subleaf.
#[inline(always)]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Whether a bit of ECX of leaf 1 is set.
pub fn has(bit: u32) -> bool {
    cpuid(1, 0).ecx >> bit & 1 == 1
}

/// Bits of ECX of CPUID's leaf 1.
pub mod feature {
    /// The local APIC's registers are MSRs too.
    pub const X2APIC: u32 = 21;
    /// Its timer has a mode that compares with the TSC.
    pub const TSC_DEADLINE: u32 = 24;
    /// XSAVE, and XCR0.
    pub const XSAVE: u32 = 26;
    /// There is a hypervisor.
    pub const HYPERVISOR: u32 = 31;
}

/// Reads a model-specific register.
#[inline(always)]
pub fn read_msr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading these registers changes nothing that Rust knows about.
    unsafe {
        asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
#[inline(always)]
pub fn write_msr(index: u32, value: u64) {
    // SAFETY: the caller names a register whose change Rust's memory does not notice.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") value as u32, in("edx") (value >> 32) as u32,
            options(nostack, preserves_flags));
    }
}

/// Reads a control register.
#[macro_export]
macro_rules! read_control {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading it changes nothing that Rust knows about.
        unsafe {
            core::arch::asm!(concat!("mov {}, ", $name), out(reg) value, options(nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a control register.
#[macro_export]
macro_rules! write_control {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the caller's value leaves mapped what Rust uses.
        unsafe {
            core::arch::asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

/// Whether interrupts can be taken here.
pub fn takes_interrupts() -> bool {
    true
}

/// How privileged this is.
pub fn privilege() -> &'static str {
    "ring 0"
}

/// Forgets cached translations.
pub fn flush_tlb() {
    write_control!("cr3", read_control!("cr3"));
}

/// Tells the CPU, and an emulator, that this loop waits.
#[inline(always)]
pub fn yield_now() {
    // SAFETY: a hint.
    unsafe { asm!("pause", options(nomem, nostack, preserves_flags)) };
}

/// With interrupts masked: sleeps until one is pending, and takes it. None can slip in before the sleep: STI lets them in
/// only behind the next instruction (SDM vol. 2, STI).
#[inline(always)]
pub fn sleep() {
    // SAFETY: handlers save what they change.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Lets interrupts in.
#[inline(always)]
pub fn unmask_interrupts() {
    // SAFETY: handlers save what they change.
    unsafe { asm!("sti", "nop", options(nostack)) };
}

/// Keeps interrupts out.
#[inline(always)]
pub fn mask_interrupts() {
    // SAFETY: affects no memory.
    unsafe { asm!("cli", options(nostack)) };
}

/// Stops this CPU, but for its interrupts if they are not masked.
pub fn halt() -> ! {
    loop {
        // SAFETY: as above.
        unsafe { asm!("hlt", options(nostack, preserves_flags)) };
    }
}
