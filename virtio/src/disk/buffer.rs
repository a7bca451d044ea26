//! Memory for data on its way between a guest and a disk: a fixed number of pieces for each device, however much its
//! guest asks for. A buffer that is dropped, whoever has it then, is back in its pool.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::ops::{Deref, DerefMut};
use hv_core::sync::Mutex;

/// The most bytes that a small buffer holds: those of a page.
pub const SMALL_BYTES: usize = 4 << 10;
/// The most bytes that any buffer holds.
pub const LARGE_BYTES: usize = 64 << 10;

/// How many buffers a pool has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolSize {
    /// Of [`SMALL_BYTES`].
    pub small: usize,
    /// Of [`LARGE_BYTES`].
    pub large: usize,
}

impl Default for PoolSize {
    /// Enough for 32 small requests and for 512 KiB of large ones.
    fn default() -> Self {
        Self { small: 32, large: 8 }
    }
}

/// There is no memory for a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoMemory;

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no memory for the buffers of a disk")
    }
}

type Bytes = Box<[u8]>;

/// Taken by whoever takes or drops a buffer, whatever other locks they have: nothing is called with it held.
#[derive(Default)]
struct Shelves {
    small: Vec<Bytes>,
    large: Vec<Bytes>,
}

/// A fixed number of buffers.
#[derive(Clone)]
pub struct BufferPool(Arc<Mutex<Shelves>>);

impl BufferPool {
    /// A pool of so many buffers.
    ///
    /// # Errors
    ///
    /// [`NoMemory`].
    pub fn new(size: PoolSize) -> Result<Self, NoMemory> {
        let small = fill_shelf(size.small, SMALL_BYTES)?;
        let large = fill_shelf(size.large, LARGE_BYTES)?;
        Ok(Self(Arc::new(Mutex::new(Shelves { small, large }))))
    }

    /// A buffer of `bytes` bytes, of which it is not known what they hold. `None` if all that are large enough are in
    /// use, or none ever is.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Buffer> {
        let mut shelves = self.0.lock();
        let small = if bytes <= SMALL_BYTES { shelves.small.pop() } else { None };
        let memory = match small {
            Some(memory) => memory,
            None if bytes <= LARGE_BYTES => shelves.large.pop()?,
            None => return None,
        };
        drop(shelves);
        Some(Buffer { memory, bytes, pool: self.clone() })
    }

    fn put(&self, memory: Bytes) {
        let mut shelves = self.0.lock();
        // Never more than there were: this does not allocate.
        if memory.len() <= SMALL_BYTES {
            shelves.small.push(memory);
        } else {
            shelves.large.push(memory);
        }
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BufferPool")
    }
}

fn fill_shelf(count: usize, bytes: usize) -> Result<Vec<Bytes>, NoMemory> {
    let mut shelf = Vec::new();
    shelf.try_reserve_exact(count).map_err(|_| NoMemory)?;
    for _ in 0..count {
        let mut memory = Vec::new();
        memory.try_reserve_exact(bytes).map_err(|_| NoMemory)?;
        memory.resize(bytes, 0);
        shelf.push(memory.into_boxed_slice());
    }
    Ok(shelf)
}

/// A piece of data, or room for one. It goes back to its pool when it is dropped, and stays where it is in memory until
/// then.
pub struct Buffer {
    memory: Bytes,
    bytes: usize,
    pool: BufferPool,
}

impl Buffer {
    /// Takes the memory out, which may be longer than the buffer, for a driver whose device reads or writes it. The buffer is
    /// empty until [`Self::restore`]; if that never comes, its pool has one piece less.
    #[must_use]
    pub fn lend(&mut self) -> (Box<[u8]>, usize) {
        (mem::take(&mut self.memory), self.bytes)
    }

    /// Puts back what [`Self::lend`] has taken out.
    pub fn restore(&mut self, memory: Box<[u8]>) {
        self.memory = memory;
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.memory.get(..self.bytes).unwrap_or(&[])
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.bytes).unwrap_or(&mut [])
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer of {} bytes", self.bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = mem::take(&mut self.memory);
        if !memory.is_empty() {
            self.pool.put(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_never_has_more_buffers_than_it_was_made_with() {
        let pool = BufferPool::new(PoolSize { small: 2, large: 1 }).unwrap();
        for _ in 0..3 {
            let held: Vec<_> = (0..3).map(|_| pool.take(100).unwrap()).collect();
            assert!(pool.take(1).is_none());
            drop(held);
        }
        let large = pool.take(LARGE_BYTES).unwrap();
        assert_eq!(large.len(), LARGE_BYTES);
        assert!(pool.take(SMALL_BYTES + 1).is_none(), "a small one is too small");
        assert!(pool.take(SMALL_BYTES).is_some());
    }

    #[test]
    fn memory_that_is_lent_comes_back_with_its_buffer_or_not_at_all() {
        let pool = BufferPool::new(PoolSize { small: 2, large: 0 }).unwrap();
        let (mut kept, mut lost) = (pool.take(100).unwrap(), pool.take(512).unwrap());
        let (mut memory, bytes) = kept.lend();
        assert_eq!((memory.len(), bytes, kept.len()), (SMALL_BYTES, 100, 0));
        memory[99] = 7;
        kept.restore(memory);
        assert_eq!(kept[99], 7);
        drop(lost.lend());
        drop((kept, lost));
        let _all = pool.take(1).unwrap();
        assert!(pool.take(1).is_none());
    }

    #[test]
    fn what_no_buffer_can_hold_is_refused() {
        let pool = BufferPool::new(PoolSize::default()).unwrap();
        assert!(pool.take(LARGE_BYTES + 1).is_none());
        assert!(pool.take(usize::MAX).is_none());
    }
}
