//! The RAM of the machine: the one pool of frames, the heap that grows from it, and frames as values.

// UNSAFETY: the linear map of RAM is reached through addresses, and the heap is claimed from it.
#![expect(unsafe_code)]

use crate::arch::current as arch;
use crate::frames::{Chunk, FrameMap, RamCounters};
use crate::machine::Range;
use crate::paging::{PAGE_SIZE, Tables};
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::marker::PhantomData;

static POOL: Mutex<Option<FrameMap<'static>>> = Mutex::new(None);

/// Why the pool could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoRoom;

/// Makes the pool of all of `ram` but `reserved`.
///
/// # Safety
///
/// `ram` is RAM, mapped read-write at its physical address, and nobody uses what is not in `reserved`.
///
/// # Errors
///
/// There is no room for the bookkeeping.
pub(crate) unsafe fn init(
    ram: impl Iterator<Item = Range> + Clone,
    reserved: impl Iterator<Item = Range> + Clone,
) -> Result<(), NoRoom> {
    let start = ram.clone().map(|range| range.start).min().ok_or(NoRoom)?;
    let end = ram.clone().map(|range| range.end).max().ok_or(NoRoom)?;
    let installed = ram.clone().map(Range::len).sum();
    INSTALLED.store(installed, core::sync::atomic::Ordering::Relaxed);
    let chunks = FrameMap::chunks_needed(start, end);
    let bytes = (chunks * size_of::<Chunk>()) as u64;
    let book = find_room(bytes, ram.clone(), reserved.clone()).ok_or(NoRoom)?;
    let pointer = core::ptr::with_exposed_provenance_mut::<Chunk>(book.start as usize);
    // SAFETY: `find_room` found it in RAM that is nobody's; it is page-aligned, and Chunk has no
    // invalid values: all of them are written by FrameMap::new.
    let book_chunks = unsafe { core::slice::from_raw_parts_mut(pointer, chunks) };
    let mut map = FrameMap::new(start, book_chunks);
    for range in ram {
        map.add(range.start, range.end);
    }
    for range in reserved {
        map.reserve(range.start, range.end);
    }
    map.reserve(book.start, book.end);
    *POOL.lock() = Some(map);
    Ok(())
}

fn find_room(
    bytes: u64,
    ram: impl Iterator<Item = Range> + Clone,
    reserved: impl Iterator<Item = Range> + Clone,
) -> Option<Range> {
    let starts =
        ram.clone().map(|range| range.start).chain(reserved.clone().map(|range| range.end));
    let candidate = |start: u64| {
        let start = start.next_multiple_of(PAGE_SIZE);
        Range { start, end: start + bytes.next_multiple_of(PAGE_SIZE) }
    };
    let is_free = |range: &Range| {
        ram.clone().any(|ram| ram.start <= range.start && range.end <= ram.end)
            && !reserved.clone().any(|taken| taken.overlaps(*range))
    };
    starts.map(candidate).find(is_free)
}

/// How much RAM there is and how much is free, in bytes.
#[must_use]
pub fn counters() -> RamCounters {
    POOL.lock().as_ref().map(FrameMap::counters).unwrap_or_default()
}

/// Frames that may hold what their last owner left.
#[derive(Debug)]
pub enum Dirty {}
/// Frames that hold zeroes.
#[derive(Debug)]
pub enum Zeroed {}

/// Physically contiguous frames with one owner. They go back to the pool when the value is dropped.
#[derive(Debug)]
pub struct Frames<State> {
    addr: u64,
    len: u64,
    state: PhantomData<State>,
}

impl Frames<Dirty> {
    /// One frame of 4 KiB.
    #[must_use]
    pub fn one() -> Option<Self> {
        Self::from_pool(PAGE_SIZE, |pool| pool.alloc())
    }

    /// `count` frames of 4 KiB in a row.
    #[must_use]
    pub fn run(count: usize) -> Option<Self> {
        Self::from_pool(count as u64 * PAGE_SIZE, |pool| pool.alloc_run(count))
    }

    /// `count` chunks of 2 MiB in a row, the first aligned to `align` chunks.
    #[must_use]
    pub fn chunks(count: usize, align: usize) -> Option<Self> {
        Self::from_pool(count as u64 * (2 << 20), |pool| pool.alloc_chunks(count, align))
    }

    /// Up to `count` frames of 4 KiB in a row, wherever they are: what is left when no chunk is whole.
    #[must_use]
    pub fn some(count: u64) -> Option<Self> {
        let mut all = Self::one()?;
        while all.len < count.saturating_mul(PAGE_SIZE) {
            match Self::one() {
                Some(next) if next.addr == all.addr + all.len => {
                    all.len += next.len;
                    next.leak();
                }
                // Whoever comes next gets it again.
                Some(_) | None => break,
            }
        }
        Some(all)
    }

    /// The frames that [`Frames::leak`] gave up.
    ///
    /// # Safety
    ///
    /// They are those, and nobody uses them any more.
    pub(crate) unsafe fn reclaim(addr: u64, len: u64) -> Self {
        Self { addr, len, state: PhantomData }
    }

    fn from_pool(
        len: u64,
        alloc: impl FnOnce(&mut FrameMap<'static>) -> Option<u64>,
    ) -> Option<Self> {
        let addr = alloc(POOL.lock().as_mut()?)?;
        Some(Self { addr, len, state: PhantomData })
    }

    /// Zeroes all of it at once: for small runs.
    #[must_use]
    pub fn zero(self) -> Frames<Zeroed> {
        self.zero_part(0, self.len);
        let frames = Frames { addr: self.addr, len: self.len, state: PhantomData };
        core::mem::forget(self);
        frames
    }
}

impl AsRef<[u8]> for Frames<Zeroed> {
    fn as_ref(&self) -> &[u8] {
        let start = core::ptr::with_exposed_provenance::<u8>(self.addr as usize);
        // SAFETY: the frames are ours, are mapped where they are, and hold zeroes or what was written since. Whoever
        // shows them to hardware or writes to them by other ways keeps them private, and so from being borrowed.
        unsafe { core::slice::from_raw_parts(start, self.len as usize) }
    }
}

impl AsMut<[u8]> for Frames<Zeroed> {
    fn as_mut(&mut self) -> &mut [u8] {
        let start = core::ptr::with_exposed_provenance_mut::<u8>(self.addr as usize);
        // SAFETY: as for `as_ref`; `&mut self` says that nobody else looks.
        unsafe { core::slice::from_raw_parts_mut(start, self.len as usize) }
    }
}

impl<State> Frames<State> {
    /// The physical address of the first byte.
    #[must_use]
    pub fn addr(&self) -> u64 {
        self.addr
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it: never.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Zeroes `len` bytes at `offset`, cut to what is there, down to memory itself.
    pub(crate) fn zero_part(&self, offset: u64, len: u64) {
        let offset = offset.min(self.len);
        let len = len.min(self.len - offset);
        // SAFETY: within frames that we own, by the bounds above.
        unsafe { arch::zero(self.addr + offset, len) };
    }

    /// Keeps the frames for ever.
    pub(crate) fn leak(self) -> u64 {
        let addr = self.addr;
        core::mem::forget(self);
        addr
    }
}

impl<State> Drop for Frames<State> {
    fn drop(&mut self) {
        if let Some(pool) = POOL.lock().as_mut() {
            let already_free = pool.free(self.addr, self.len);
            debug_assert_eq!(already_free, 0, "frames with two owners");
        }
    }
}

/// Copies `buf.len()` bytes from physical address `addr`. Two, four or eight that are aligned are copied by one
/// access: an index in a ring that a guest changes meanwhile is the old one or the new one.
///
/// # Safety
///
/// The range is RAM that the caller owns; a guest may write to it meanwhile.
pub(crate) unsafe fn copy_from(addr: u64, buf: &mut [u8]) {
    let source = core::ptr::with_exposed_provenance::<u8>(addr as usize);
    match (buf.len(), addr % 8) {
        (2, 0 | 2 | 4 | 6) => {
            // SAFETY: our caller owns the range, and the address is a multiple of 2.
            let word = unsafe { source.cast::<u16>().read_volatile() };
            buf.copy_from_slice(&word.to_ne_bytes());
        }
        (4, 0 | 4) => {
            // SAFETY: our caller owns the range, and the address is a multiple of 4.
            let word = unsafe { source.cast::<u32>().read_volatile() };
            buf.copy_from_slice(&word.to_ne_bytes());
        }
        (8, 0) => {
            // SAFETY: our caller owns the range, and the address is a multiple of 8.
            let word = unsafe { source.cast::<u64>().read_volatile() };
            buf.copy_from_slice(&word.to_ne_bytes());
        }
        (len, _) => {
            // SAFETY: our caller owns the range; `buf` is ours. What a guest writes meanwhile is bytes, and any
            // mixture of old and new bytes is a possible outcome of the guest's race.
            unsafe { arch::copy(buf.as_mut_ptr(), source, len) };
        }
    }
}

/// Copies `buf` to physical address `addr`, aligned words by one access.
///
/// # Safety
///
/// As for [`copy_from`].
pub(crate) unsafe fn copy_to(addr: u64, buf: &[u8]) {
    let target = core::ptr::with_exposed_provenance_mut::<u8>(addr as usize);
    match (buf, addr % 8) {
        (&[a, b], 0 | 2 | 4 | 6) => {
            // SAFETY: our caller owns the range, and the address is a multiple of 2.
            unsafe { target.cast::<u16>().write_volatile(u16::from_ne_bytes([a, b])) };
        }
        (&[a, b, c, d], 0 | 4) => {
            // SAFETY: our caller owns the range, and the address is a multiple of 4.
            unsafe { target.cast::<u32>().write_volatile(u32::from_ne_bytes([a, b, c, d])) };
        }
        (&[a, b, c, d, e, f, g, h], 0) => {
            let word = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
            // SAFETY: our caller owns the range, and the address is a multiple of 8.
            unsafe { target.cast::<u64>().write_volatile(word) };
        }
        (buf, _) => {
            // SAFETY: as for `copy_from`.
            unsafe { arch::copy(target, buf.as_ptr(), buf.len()) };
        }
    }
}

/// Page tables in frames of the pool, which all go back when the value is dropped.
#[derive(Debug, Default)]
pub struct FrameTables {
    frames: Vec<Frames<Zeroed>>,
}

impl FrameTables {
    /// Bytes of all tables.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.frames.iter().map(Frames::len).sum()
    }
}

impl Tables for FrameTables {
    fn alloc(&mut self) -> Option<u64> {
        self.frames.try_reserve(1).ok()?;
        let frame = Frames::one()?.zero();
        let addr = frame.addr();
        self.frames.push(frame);
        Some(addr)
    }

    fn read(&self, addr: u64, index: usize) -> u64 {
        let entry = core::ptr::with_exposed_provenance::<u64>(addr as usize + 8 * (index & 511));
        // SAFETY: `addr` is a table of ours: the walker knows no other addresses than those that
        // `alloc` gave it. The hardware may read it at the same time, so the access is volatile.
        unsafe { entry.read_volatile() }
    }

    fn write(&mut self, addr: u64, index: usize, entry: u64) {
        let slot = core::ptr::with_exposed_provenance_mut::<u64>(addr as usize + 8 * (index & 511));
        // SAFETY: as for `read`.
        unsafe { slot.write_volatile(entry) };
    }
}

/// The heap: grows by frames of the pool, and never gives them back.
#[cfg(target_os = "none")]
mod heap {
    use super::POOL;
    use crate::paging::PAGE_SIZE;
    use core::alloc::Layout;
    use core::sync::atomic::{AtomicU64, Ordering};
    use talc::base::{Talc, binning::Binning};
    use talc::{TalcLock, source::Source};

    #[derive(Debug)]
    struct Pool;

    pub(super) static BYTES: AtomicU64 = AtomicU64::new(0);

    #[global_allocator]
    static HEAP: TalcLock<crate::sync::Mutex<()>, Pool> = TalcLock::new(Pool);

    pub(super) fn used() -> u64 {
        HEAP.lock().counters().allocated_bytes as u64
    }

    // SAFETY: `acquire` allocates nothing from the heap: the pool's bookkeeping needs none.
    unsafe impl Source for Pool {
        fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
            const STEP: usize = 512 << 10;
            let wanted = (layout.size() + layout.align() + 4096).next_multiple_of(STEP);
            let frames = wanted / PAGE_SIZE as usize;
            let addr = POOL.lock().as_mut().ok_or(())?.alloc_run(frames).ok_or(())?;
            let base = core::ptr::with_exposed_provenance_mut(addr as usize);
            // SAFETY: the pool just made these frames ours, and they stay so.
            let claimed = unsafe { talc.claim(base, wanted) };
            BYTES.fetch_add(wanted as u64, Ordering::Relaxed);
            claimed.map(|_| ()).ok_or(())
        }
    }
}

/// Bytes of RAM that the heap has taken, and bytes of them that are in use.
fn heap_bytes() -> (u64, u64) {
    #[cfg(target_os = "none")]
    return (heap::BYTES.load(core::sync::atomic::Ordering::Relaxed), heap::used());
    #[cfg(not(target_os = "none"))]
    (0, 0)
}

/// Where the RAM of the machine is, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// All RAM of the machine.
    pub total: u64,
    /// What nobody has.
    pub free: u64,
    /// What the heap has taken.
    pub heap: u64,
    /// What of the heap is in use.
    pub heap_used: u64,
    /// The hypervisor's own page tables, beside those in its image.
    pub own_tables: u64,
    /// Stacks, beside that in its image.
    pub stacks: u64,
    /// RAM that was never to be had: our image, the bundle, the device tree, firmware.
    pub reserved: u64,
}

/// RAM of the machine, whoever has it.
static INSTALLED: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// Where the RAM of the machine is.
#[must_use]
pub fn usage() -> Usage {
    let pool = counters();
    let (heap, heap_used) = heap_bytes();
    let (stacks, own_tables) = arch::own_bytes();
    let total = INSTALLED.load(core::sync::atomic::Ordering::Relaxed);
    Usage {
        total,
        free: pool.free,
        heap,
        heap_used,
        own_tables,
        stacks,
        reserved: total - pool.total,
    }
}

#[cfg(test)]
pub(crate) mod tests;
