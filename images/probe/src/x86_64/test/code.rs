//! Code that is made here, at an address that is known.

use core::arch::asm;
use core::cell::UnsafeCell;

const BYTES: usize = 4096;

/// A page of code.
#[repr(C, align(4096))]
pub(super) struct Code(UnsafeCell<[u8; BYTES]>);

// SAFETY: written by volatile accesses only; who executes it expects anything.
unsafe impl Sync for Code {}

impl Code {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new([0xcc; BYTES]))
    }

    /// Where it is.
    pub(super) fn address(&self) -> u64 {
        self.0.get().addr() as u64
    }

    /// Puts bytes at an offset.
    pub(super) fn put(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= BYTES);
        for (index, byte) in bytes.iter().enumerate() {
            // SAFETY: checked above.
            unsafe { self.0.get().cast::<u8>().add(offset + index).write_volatile(*byte) };
        }
    }
}

/// Calls code at an address with RDI and RAX as given; it may change RAX, RCX, RDX, RSI, RDI and R8 to R11, and traps or
/// returns.
pub(super) fn call(address: u64, rdi: u64, rax: u64) -> u64 {
    let result;
    // SAFETY: what is there keeps the promise above, or traps.
    unsafe {
        asm!("call {address}", address = in(reg) address, inlateout("rdi") rdi => _, inlateout("rax") rax => result,
            out("rcx") _, out("rdx") _, out("rsi") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result
}
