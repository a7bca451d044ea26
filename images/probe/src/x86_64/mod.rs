//! What only a PC can be asked, and what the tests of all machines need of this one.

mod bench;
mod hypercall;
mod test;

pub(crate) use bench::BENCHES;
pub(crate) use test::TESTS;

use core::arch::asm;

use guest::arch::lapic;
use guest::board::Board;

use crate::virtio::Slots;

/// Where virtio devices are in a PC of Roost's: its ACPI tables say so, too.
pub(crate) const VIRTIO: Slots = Slots { first: 0xfeb0_0000, step: 0x1000, count: 8 };

/// Calls what is at this address.
pub(crate) fn branch(address: u64) {
    // SAFETY: what is there traps, and the trap ends this.
    unsafe { asm!("call {}", in(reg) address, clobber_abi("C")) };
}

/// Where a device is that no memory is behind.
pub(crate) fn device(_: &Board) -> u64 {
    lapic::PAGE as u64
}

/// Writes a word to each of so many pages, and returns where the next page is.
///
/// # Safety
/// Nothing may lie in these pages.
pub(crate) unsafe fn touch(mut page: usize, pages: usize) -> usize {
    // SAFETY: our caller's promise.
    unsafe {
        asm!("2:", "mov [{page}], {count}", "add {page}, 4096", "dec {count}", "jnz 2b",
            page = inout(reg) page, count = inout(reg) pages => _, options(nostack));
    }
    page
}
