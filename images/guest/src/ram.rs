//! RAM, and what of it is in use.

use crate::board::{Board, Range};

unsafe extern "C" {
    static _image_start: u8;
    static _image_end: u8;
}

/// The guest itself, with its stack.
pub fn image() -> Range {
    let (start, end) = ((&raw const _image_start).addr(), (&raw const _image_end).addr());
    Range { start, size: end - start }
}

/// The pages of RAM that nothing lies in, by address.
pub fn free_pages(board: &Board) -> impl Iterator<Item = usize> {
    let used = [Some(image()), board.used, board.initrd];
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
