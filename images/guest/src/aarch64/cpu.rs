//! Single instructions of the CPU.

use core::arch::asm;

/// Reads a system register.
#[macro_export]
macro_rules! read_register {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading this register changes nothing that Rust knows about.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nostack, preserves_flags));
        }
        value
    }};
}

/// Writes a system register, and waits until it counts.
#[macro_export]
macro_rules! write_register {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: the caller names a register whose change Rust's memory does not notice.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags));
        }
    }};
}

unsafe extern "C" {
    safe fn guest_enable_mmu();
}

/// The exception level that the CPU runs at.
pub fn exception_level() -> u64 {
    read_register!("CurrentEL") >> 2 & 3
}

pub(crate) fn enable_mmu() {
    guest_enable_mmu();
}

/// Sets where exceptions go.
pub fn set_vectors(address: usize) {
    write_register!("vbar_el1", address as u64);
}

/// Forgets cached translations.
pub fn flush_tlb() {
    // SAFETY: the tables in memory say what the cached ones said, for all that Rust uses.
    unsafe { asm!("dsb ish", "tlbi vmalle1", "dsb ish", "isb", options(nostack, preserves_flags)) };
}

/// Lets another CPU run, in a loop that waits: on some emulators nothing else runs otherwise.
#[inline(always)]
pub fn yield_now() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending.
#[inline(always)]
pub fn wait_for_interrupt() {
    // SAFETY: a hint.
    unsafe { asm!("wfi", options(nostack, preserves_flags)) };
}

/// Whether interrupts can be taken here: vectors are set at EL1 only.
pub fn takes_interrupts() -> bool {
    exception_level() == 1
}

/// How privileged this is.
pub fn privilege() -> &'static str {
    match exception_level() {
        1 => "EL1",
        2 => "EL2",
        _ => "EL3",
    }
}

/// With interrupts masked: sleeps until one is pending, and takes it. None can slip in between a check before and the
/// sleep, because a pending one ends WFI even when masked.
#[inline(always)]
pub fn sleep() {
    wait_for_interrupt();
    unmask_interrupts();
    instruction_barrier();
    mask_interrupts();
}

/// Lets interrupts in.
#[inline(always)]
pub fn unmask_interrupts() {
    // SAFETY: handlers save what they change.
    unsafe { asm!("msr daifclr, #2", options(nostack, preserves_flags)) };
}

/// Keeps interrupts out.
#[inline(always)]
pub fn mask_interrupts() {
    // SAFETY: affects no memory.
    unsafe { asm!("msr daifset, #2", options(nostack, preserves_flags)) };
}

/// Waits until what was written to the system registers counts.
#[inline(always)]
pub fn instruction_barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Stops this CPU.
pub fn halt() -> ! {
    loop {
        wait_for_interrupt();
    }
}
