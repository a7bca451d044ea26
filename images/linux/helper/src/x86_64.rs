//! How x86_64 calls Linux: arch/x86/entry/syscalls/syscall_64.tbl.

use core::arch::x86_64::_rdtsc;
use core::arch::{asm, global_asm};

pub(crate) const READ: usize = 0;
pub(crate) const WRITE: usize = 1;
pub(crate) const LSEEK: usize = 8;
pub(crate) const RT_SIGACTION: usize = 13;
pub(crate) const EXECVE: usize = 59;
pub(crate) const EXIT: usize = 60;
pub(crate) const IO_SETUP: usize = 206;
pub(crate) const IO_GETEVENTS: usize = 208;
pub(crate) const IO_SUBMIT: usize = 209;
pub(crate) const OPENAT: usize = 257;
pub(crate) const PPOLL: usize = 271;

/// Past the page cache (arch/x86 has the generic flags of open).
pub(crate) const O_DIRECT: usize = 0o40_000;

global_asm!(
    ".globl _start",
    "_start:",
    "mov rdi, [rsp]",
    "lea rsi, [rsp + 8]",
    "and rsp, -16",
    "call helper_main",
    "mov edi, eax",
    "mov eax, 60",
    "syscall",
);

/// Calls the kernel.
pub(crate) fn call(number: usize, arguments: [usize; 4]) -> isize {
    let [a, b, c, d] = arguments;
    let result: usize;
    // SAFETY: the kernel keeps all registers but these; callers pass pointers to what they own.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") 0, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result as isize
}

/// The time-stamp counter.
pub(crate) fn counter() -> u64 {
    // SAFETY: Linux lets programs read it.
    unsafe { _rdtsc() }
}
