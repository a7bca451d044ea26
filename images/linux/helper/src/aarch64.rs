//! How AArch64 calls Linux: include/uapi/asm-generic/unistd.h.

use core::arch::{asm, global_asm};

pub(crate) const IO_SETUP: usize = 0;
pub(crate) const IO_SUBMIT: usize = 2;
pub(crate) const IO_GETEVENTS: usize = 4;
pub(crate) const OPENAT: usize = 56;
pub(crate) const LSEEK: usize = 62;
pub(crate) const READ: usize = 63;
pub(crate) const WRITE: usize = 64;
pub(crate) const PPOLL: usize = 73;
pub(crate) const EXIT: usize = 93;
pub(crate) const RT_SIGACTION: usize = 134;
pub(crate) const EXECVE: usize = 221;

/// Past the page cache (arch/arm64/include/uapi/asm/fcntl.h).
pub(crate) const O_DIRECT: usize = 0o200_000;

global_asm!(
    ".globl _start",
    "_start:",
    "ldr x0, [sp]",
    "add x1, sp, #8",
    "bl helper_main",
    "mov x8, #93",
    "svc #0",
);

/// Calls the kernel.
pub(crate) fn call(number: usize, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    let result: usize;
    // SAFETY: the kernel keeps all registers but x0; callers pass pointers to what they own.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c,
            in("x3") d, in("x4") 0, options(nostack));
    }
    result as isize
}

/// The virtual counter.
pub(crate) fn counter() -> u64 {
    let value;
    // SAFETY: Linux lets programs read this register.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
    value
}
