//! What only an AArch64 machine can be asked, and what the tests of all machines need of this one.

mod bench;
mod test;

pub(crate) use bench::BENCHES;
pub(crate) use test::TESTS;

use core::arch::asm;

use guest::board::Board;

use crate::virtio::Slots;

/// Where virtio devices are, as on QEMU's `virt`.
pub(crate) const VIRTIO: Slots = Slots { first: 0x0a00_0000, step: 0x200, count: 32 };

/// Calls what is at this address.
pub(crate) fn branch(address: u64) {
    // SAFETY: what is there traps, and `expect_branch` returns behind the call.
    unsafe { asm!("blr {}", in(reg) address, clobber_abi("C")) };
}

/// Where a device is that no memory is behind.
pub(crate) fn device(board: &Board) -> u64 {
    board.console.address() as u64
}

/// Writes a word to each of so many pages, and returns where the next page is.
///
/// # Safety
/// Nothing may lie in these pages.
pub(crate) unsafe fn touch(mut page: usize, pages: usize) -> usize {
    // SAFETY: our caller's promise.
    unsafe {
        asm!("2:", "str {count}, [{page}]", "add {page}, {page}, #1, lsl #12", "subs {count}, {count}, #1", "b.ne 2b",
            page = inout(reg) page, count = inout(reg) pages => _, options(nostack));
    }
    page
}
