//! Memory that devices of the host read and write. Every physical address is mapped at itself, and devices see what CPUs
//! see: caches are coherent on all machines that Roost runs on, and an IOMMU is off.

// UNSAFETY: the trait of the driver crate hands out pointers.
#![expect(unsafe_code)]

use crate::memory::Frames;
use crate::paging::PAGE_SIZE;
use core::ptr::NonNull;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

/// Memory as it is, without a translation.
#[derive(Debug)]
pub(crate) enum Direct {}

// SAFETY: what `dma_alloc` hands out are whole frames of the pool, zeroed and aligned, which nobody else has until
// `dma_dealloc` gives them back.
unsafe impl Hal for Direct {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let Some(frames) = Frames::run(pages) else { return (0, NonNull::dangling()) };
        let addr = frames.zero().leak();
        (addr, pointer(addr))
    }

    unsafe fn dma_dealloc(paddr: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: our caller says that these are the frames of `dma_alloc`, and that it has done with them.
        drop(unsafe { Frames::reclaim(paddr, pages as u64 * PAGE_SIZE) });
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, _: usize) -> NonNull<u8> {
        pointer(paddr)
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

fn pointer(addr: u64) -> NonNull<u8> {
    let pointer = core::ptr::with_exposed_provenance_mut(addr as usize);
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}
