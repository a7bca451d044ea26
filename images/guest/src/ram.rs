//! The identity map, and what of RAM is in use.

use core::cell::UnsafeCell;

use crate::board::{Board, Range};

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

unsafe extern "C" {
    static _image_start: u8;
    static _image_end: u8;
}

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

/// The guest itself, with its stack.
pub fn image() -> Range {
    let (start, end) = ((&raw const _image_start).addr(), (&raw const _image_end).addr());
    Range { start, size: end - start }
}

/// The pages of RAM that nothing lies in, by address.
pub fn free_pages(board: &Board) -> impl Iterator<Item = usize> {
    let used = [Some(image()), Some(board.device_tree), board.initrd];
    let first = board.ram.start.next_multiple_of(PAGE);
    (first..board.ram.end()).step_by(PAGE).filter(move |page| {
        !used.iter().flatten().any(|range| *page < range.end() && range.start < page + PAGE)
    })
}

/// The size of a page in bytes.
pub const PAGE: usize = 4096;

/// A free page's words, to read and write.
///
/// # Safety
/// `page` must come from [`free_pages`], and no other reference to it may live.
pub unsafe fn words(page: usize) -> &'static mut [u64; PAGE / 8] {
    let pointer: *mut [u64; PAGE / 8] = core::ptr::with_exposed_provenance_mut(page);
    // SAFETY: the caller's promise; pages of RAM are mapped and aligned.
    unsafe { &mut *pointer }
}
