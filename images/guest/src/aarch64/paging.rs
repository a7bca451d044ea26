//! The identity map.

use core::cell::UnsafeCell;

use crate::board::Range;
use crate::ram::image;

/// One block descriptor covers 1 GiB.
const BLOCK_SHIFT: usize = 30;
const BLOCKS: usize = 512;
const VALID: u64 = 1;
const ATTRIBUTE_NORMAL: u64 = 1 << 2;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;

/// A level-1 table of VMSAv8-64: 512 GiB.
#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; BLOCKS]>);

// SAFETY: written by the first CPU before others start.
unsafe impl Sync for Table {}

#[unsafe(no_mangle)]
static guest_identity_map: Table = Table(UnsafeCell::new([0; BLOCKS]));

/// Maps all addresses to themselves: `ram` as normal memory, everything else as a device that can even be
/// executed, so that a stray access leaves the guest. Before RAM is known, where the image is counts as RAM.
pub(crate) fn map_identity(ram: Option<Range>) {
    let ram = ram.unwrap_or_else(image);
    for block in 0..BLOCKS {
        let (start, end) = (block << BLOCK_SHIFT, (block + 1) << BLOCK_SHIFT);
        let normal = start < ram.end() && ram.start < end;
        let attributes = if normal { ATTRIBUTE_NORMAL | INNER_SHAREABLE } else { 0 };
        let descriptor = start as u64 | VALID | ACCESSED | attributes;
        // SAFETY: only the first CPU is here, and the index is below the table's length.
        unsafe { guest_identity_map.0.get().cast::<u64>().add(block).write_volatile(descriptor) };
    }
}
