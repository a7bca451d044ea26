//! A guest's RAM in a vector, and one that changes while it is read.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use hv_core::guest::{BadAddress, GuestMemory, GuestPhysAddr};
use hv_core::sync::Mutex;

/// Bytes at an address.
pub struct TestRam {
    base: u64,
    bytes: Mutex<Vec<u8>>,
}

impl TestRam {
    /// `len` zeroes from `base` on.
    #[must_use]
    pub fn new(base: u64, len: usize) -> Arc<Self> {
        Arc::new(Self { base, bytes: Mutex::new(vec![0; len]) })
    }

    /// `len` bytes at `addr`, which are RAM.
    #[must_use]
    pub fn bytes(&self, addr: GuestPhysAddr, len: usize) -> Vec<u8> {
        let mut buf = vec![0; len];
        self.read(addr, &mut buf).unwrap();
        buf
    }

    /// Writes `bytes` at `addr`, which is RAM.
    pub fn put(&self, addr: GuestPhysAddr, bytes: &[u8]) {
        self.write(addr, bytes).unwrap();
    }

    /// Two bytes at `addr`.
    #[must_use]
    pub fn get_u16(&self, addr: GuestPhysAddr) -> u16 {
        let bytes = self.bytes(addr, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    fn range(&self, addr: GuestPhysAddr, len: u64) -> Result<Range<usize>, BadAddress> {
        let start = addr.0.checked_sub(self.base).ok_or(BadAddress)?;
        let end = start.checked_add(len).ok_or(BadAddress)?;
        Ok(usize::try_from(start).map_err(|_| BadAddress)?
            ..usize::try_from(end).map_err(|_| BadAddress)?)
    }
}

impl GuestMemory for TestRam {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        let range = self.range(addr, buf.len() as u64)?;
        buf.copy_from_slice(self.bytes.lock().get(range).ok_or(BadAddress)?);
        Ok(())
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        let range = self.range(addr, buf.len() as u64)?;
        self.bytes.lock().get_mut(range).ok_or(BadAddress)?.copy_from_slice(buf);
        Ok(())
    }

    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        self.range(addr, len).is_ok_and(|range| self.bytes.lock().get(range).is_some())
    }
}

/// RAM whose guest writes to it between any two reads of the device: the bytes of `script`, one after the other
/// and over and over, to places in `target`.
pub struct ShiftingRam {
    ram: Arc<TestRam>,
    target: Range<u64>,
    script: Vec<(u16, u8)>,
    step: Mutex<usize>,
}

impl ShiftingRam {
    /// `ram`, with what changes it.
    #[must_use]
    pub fn new(ram: Arc<TestRam>, target: Range<u64>, script: Vec<(u16, u8)>) -> Self {
        Self { ram, target, script, step: Mutex::new(0) }
    }

    fn shift(&self) {
        let mut step = self.step.lock();
        *step += 1;
        let len = self.target.end.saturating_sub(self.target.start);
        if let Some((place, byte)) = self.script.get(*step % self.script.len().max(1))
            && len != 0
        {
            let addr = GuestPhysAddr(self.target.start + u64::from(*place) % len);
            self.ram.put(addr, &[*byte]);
        }
    }
}

impl GuestMemory for ShiftingRam {
    fn read(&self, addr: GuestPhysAddr, buf: &mut [u8]) -> Result<(), BadAddress> {
        self.shift();
        self.ram.read(addr, buf)
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        self.shift();
        self.ram.write(addr, buf)
    }

    fn contains(&self, addr: GuestPhysAddr, len: u64) -> bool {
        self.shift();
        self.ram.contains(addr, len)
    }
}
