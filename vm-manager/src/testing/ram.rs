//! A guest's RAM in a vector, out of a pool that counts.

use crate::platform::Ram;
use hv_core::guest::{BadAddress, GuestMemory, GuestPhysAddr};
use hv_core::ram::RamError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The RAM of the machine.
#[derive(Debug)]
pub(crate) struct Pool {
    free: AtomicU64,
}

impl Pool {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self { free: AtomicU64::new(bytes) })
    }

    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::SeqCst)
    }
}

/// Bytes at an address of the guest.
#[derive(Debug)]
pub(crate) struct Content {
    base: u64,
    bytes: Mutex<Vec<u8>>,
}

impl Content {
    fn with<R>(
        &self,
        addr: GuestPhysAddr,
        len: usize,
        access: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, BadAddress> {
        let offset = addr.0.checked_sub(self.base).ok_or(BadAddress)? as usize;
        let end = offset.checked_add(len).ok_or(BadAddress)?;
        self.bytes.lock().unwrap().get_mut(offset..end).map(access).ok_or(BadAddress)
    }
}

impl GuestMemory for Content {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.with(addr, buf.len(), |bytes| buf.copy_from_slice(bytes))
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.with(addr, buf.len(), |bytes| bytes.copy_from_slice(buf))
    }
}

/// The RAM of one guest. It goes back to the pool when it is dropped.
#[derive(Debug)]
pub(crate) struct FakeRam {
    pool: Arc<Pool>,
    content: Arc<Content>,
    len: u64,
}

/// What new RAM holds: whatever its last owner left.
const DIRT: u8 = 0xd1;

impl FakeRam {
    pub(crate) fn new(pool: &Arc<Pool>, base: GuestPhysAddr, len: u64) -> Result<Self, RamError> {
        let take = |free: u64| free.checked_sub(len);
        pool.free
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map_err(|free| RamError::NoMemory { wanted: len, free })?;
        let mut bytes = vec![0; len as usize];
        // Not all of it, for speed.
        let dirty = bytes.len().min(2 << 20);
        bytes[..dirty].fill(DIRT);
        let content = Arc::new(Content { base: base.0, bytes: Mutex::new(bytes) });
        Ok(Self { pool: Arc::clone(pool), content, len })
    }

    /// The bytes, as the guest's CPUs reach them.
    pub(crate) fn content(&self) -> Arc<Content> {
        Arc::clone(&self.content)
    }
}

impl Drop for FakeRam {
    fn drop(&mut self) {
        self.pool.free.fetch_add(self.len, Ordering::SeqCst);
    }
}

impl GuestMemory for FakeRam {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.content.read(addr, buf)
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.content.write(addr, buf)
    }
}

impl Ram for FakeRam {
    fn bytes(&self) -> u64 {
        self.len
    }

    fn zero(&self, offset: u64, len: u64) -> Result<u64, RamError> {
        let mut bytes = self.content.bytes.lock().unwrap();
        let end = offset.saturating_add(len).min(self.len);
        let start = offset.min(end);
        bytes[start as usize..end as usize].fill(0);
        Ok(end - start)
    }

    fn publish(&self) {}

    fn share(&self) -> Arc<dyn GuestMemory + Send + Sync> {
        self.content()
    }

    fn table_bytes(&self) -> u64 {
        3 << 12
    }
}
