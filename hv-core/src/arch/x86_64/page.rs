//! Pages that the CPU reads and writes as well as we do.

// UNSAFETY: frames are reached by their addresses.
#![expect(unsafe_code)]

use super::svm::cpu::Block;
use crate::memory::{Frames, Zeroed};
use crate::paging::PAGE_SIZE;
use core::marker::PhantomData;

/// Plain data, for which zeroes are a value, as any other bytes are.
///
/// # Safety
///
/// It is that.
pub(super) unsafe trait PlainPage: Sized {}

// SAFETY: it consists of integers.
unsafe impl PlainPage for Block {}
// SAFETY: it consists of integers.
unsafe impl PlainPage for [u32; 1024] {}

/// Frames that begin with a `T`. The CPU touches them only while it executes instructions that are told so, which the compiler
/// takes to touch all memory; hence references between them are sound.
#[derive(Debug)]
pub(super) struct Page<T> {
    frames: Frames<Zeroed>,
    holds: PhantomData<T>,
}

impl<T: PlainPage> Page<T> {
    /// Zeroes; `None` if there is no memory.
    pub(super) fn new() -> Option<Self> {
        const { assert!(align_of::<T>() as u64 <= PAGE_SIZE) };
        let pages = size_of::<T>().div_ceil(PAGE_SIZE as usize);
        Some(Self { frames: Frames::run(pages)?.zero(), holds: PhantomData })
    }

    /// Keeps it for ever; returns its physical address.
    pub(super) fn leak(self) -> u64 {
        self.frames.leak()
    }

    /// Makes it all zeroes.
    pub(super) fn clear(&mut self) {
        self.frames.zero_part(0, self.frames.len());
    }

    /// Its physical address.
    #[inline(always)]
    pub(super) fn addr(&self) -> u64 {
        self.frames.addr()
    }

    #[inline(always)]
    pub(super) fn get(&self) -> &T {
        let pointer = core::ptr::with_exposed_provenance::<T>(self.frames.addr() as usize);
        // SAFETY: the frames are ours, long enough and aligned (`new`); any bytes are a T.
        unsafe { &*pointer }
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self) -> &mut T {
        let pointer = core::ptr::with_exposed_provenance_mut::<T>(self.frames.addr() as usize);
        // SAFETY: as for `get`, and `self` is borrowed for as long.
        unsafe { &mut *pointer }
    }
}
