//! The identity map: entry.S has made that of the first 4 GiB.

use core::cell::UnsafeCell;

use super::cpu;

/// A page-directory-pointer table: 512 GiB.
pub const TABLE_ENTRIES: usize = 512;
const ENTRIES_BELOW_4_GIB: usize = 4;
/// Present, writable, large; not cached, for what is there that we know nothing of.
const GIBIBYTE: u64 = 0x83 | 0x18;

/// A table that the entry code has made.
#[repr(transparent)]
pub struct Table(UnsafeCell<[u64; TABLE_ENTRIES]>);

// SAFETY: entries are written by volatile accesses, by one CPU at a time.
unsafe impl Sync for Table {}

unsafe extern "C" {
    safe static guest_page_table: Table;
    safe static guest_directory_pointers: Table;
}

impl Table {
    /// Its address.
    pub fn address(&self) -> u64 {
        self.0.get().addr() as u64
    }

    /// An entry.
    pub fn get(&self, index: usize) -> u64 {
        // SAFETY: below the table's length.
        unsafe { self.0.get().cast::<u64>().add(index % TABLE_ENTRIES).read_volatile() }
    }

    /// Changes an entry.
    ///
    /// # Safety
    /// What Rust uses stays mapped.
    pub unsafe fn set(&self, index: usize, entry: u64) {
        // SAFETY: below the table's length; the rest is our caller's promise.
        unsafe { self.0.get().cast::<u64>().add(index % TABLE_ENTRIES).write_volatile(entry) };
    }
}

/// The highest table (PML4).
pub fn root() -> &'static Table {
    &guest_page_table
}

/// Maps the other 508 GiB where the CPU has pages of 1 GiB, so that a stray access leaves the guest.
pub(super) fn map_high() {
    const PAGES_OF_1_GIB: u32 = 1 << 26;
    if cpu::cpuid(0x8000_0000, 0).eax < 0x8000_0001
        || cpu::cpuid(0x8000_0001, 0).edx & PAGES_OF_1_GIB == 0
    {
        return;
    }
    for index in ENTRIES_BELOW_4_GIB..TABLE_ENTRIES {
        // SAFETY: nothing was mapped there.
        unsafe { guest_directory_pointers.set(index, (index as u64) << 30 | GIBIBYTE) };
    }
}
