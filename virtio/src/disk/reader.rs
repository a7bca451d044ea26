//! Reading a disk in passing: for those who cannot go on without the bytes, and have nothing else to do: partition tables
//! and file systems, when they are opened.

use super::buffer::{LARGE_BYTES, NoMemory, PoolSize};
use super::{
    Buffer, BufferPool, Completed, Completer, Disk, DiskError, News, Operation, Request, RequestId,
    SECTOR_BYTES, Submitted,
};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use hv_core::sync::Mutex;

/// Reads bytes from anywhere on a disk.
pub trait ReadAt {
    /// How long the disk is.
    fn bytes(&self) -> u64;

    /// Bytes of a block of the disk. Reads need not care.
    fn block_bytes(&self) -> u32;

    /// Fills `buf` with what is at `offset`.
    ///
    /// # Errors
    ///
    /// [`DiskError`]; `buf` then holds anything.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;
}

/// Whether to wait any longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Patience {
    /// The disk may still answer.
    Wait,
    /// Enough.
    GiveUp,
}

/// A client that waits for each of its reads.
pub struct DiskReader<W> {
    disk: Arc<dyn Disk>,
    inbox: Arc<Inbox>,
    pool: BufferPool,
    wait: W,
    last_id: u64,
}

/// What came back last.
struct Inbox(Mutex<Option<Completed>>);

impl Completer for Inbox {
    fn hear(&self, news: Vec<News>) {
        for news in news {
            if let News::Ended(completed) = news {
                *self.0.lock() = Some(completed);
            }
        }
    }
}

impl<W: FnMut() -> Patience> DiskReader<W> {
    /// Reads from `disk`, of which it is the only client. `wait` is called again and again while a read has not ended: it
    /// polls what is below the disk.
    ///
    /// # Errors
    ///
    /// [`NoMemory`] for the only buffer.
    pub fn new(disk: Arc<dyn Disk>, wait: W) -> Result<Self, NoMemory> {
        let inbox = Arc::new(Inbox(Mutex::new(None)));
        let completer: Weak<Inbox> = Arc::downgrade(&inbox);
        disk.connect(completer);
        let pool = BufferPool::new(PoolSize { small: 0, large: 1 })?;
        Ok(Self { disk, inbox, pool, wait, last_id: 0 })
    }

    /// Reads whole blocks, as many as a buffer holds.
    fn read_blocks(&mut self, sector: u64, bytes: usize) -> Result<Buffer, DiskError> {
        // It is away if a read was late and the disk still has not ended it.
        let buffer = self.pool.take(bytes).ok_or(DiskError::Late)?;
        self.last_id += 1;
        let id = RequestId(self.last_id);
        let completed =
            match self.disk.submit(Request { id, operation: Operation::Read { sector, buffer } }) {
                Submitted::Done(completed) => completed,
                Submitted::Later => self.wait_for(id)?,
            };
        completed.result?;
        completed.buffer.ok_or(DiskError::Medium)
    }

    fn wait_for(&mut self, id: RequestId) -> Result<Completed, DiskError> {
        self.disk.start();
        loop {
            // In a statement of its own, so that the lock is free again.
            let completed = self.inbox.0.lock().take();
            match completed {
                Some(completed) if completed.id == id => return Ok(completed),
                // Of a read that was given up.
                Some(_) => {}
                None if (self.wait)() == Patience::GiveUp => {
                    self.disk.cancel();
                    return Err(DiskError::Late);
                }
                None => {}
            }
        }
    }
}

impl<W: FnMut() -> Patience> ReadAt for DiskReader<W> {
    fn bytes(&self) -> u64 {
        self.disk.geometry().bytes()
    }

    fn block_bytes(&self) -> u32 {
        self.disk.geometry().block_bytes
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        let end = offset.checked_add(buf.len() as u64).ok_or(DiskError::OutOfRange)?;
        if end > self.bytes() {
            return Err(DiskError::OutOfRange);
        }
        let block = u64::from(self.block_bytes());
        let mut offset = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let start = offset - offset % block;
            let skip = (offset - start) as usize;
            let wanted = (skip + rest.len()).next_multiple_of(block as usize);
            let buffer = self.read_blocks(start / SECTOR_BYTES, wanted.min(LARGE_BYTES))?;
            let bytes = buffer.get(skip..).ok_or(DiskError::Medium)?;
            let bytes = bytes.get(..rest.len()).unwrap_or(bytes);
            if bytes.is_empty() {
                return Err(DiskError::Unaligned);
            }
            let (now, later) = rest.split_at_mut_checked(bytes.len()).ok_or(DiskError::Medium)?;
            now.copy_from_slice(bytes);
            offset += bytes.len() as u64;
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
