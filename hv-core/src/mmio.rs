//! Registers of a device of the host, bounds-checked.

// UNSAFETY: device registers are memory that only volatile accesses may touch.
#![expect(unsafe_code)]

/// A window of device registers, mapped at its physical address.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: u64,
    len: u64,
}

impl Mmio {
    /// The window of `len` bytes at `base`.
    ///
    /// # Safety
    ///
    /// The window is a device's, mapped as device memory, or the MMU is off; and nothing in it lets the
    /// device write memory that it was not given.
    #[must_use]
    pub const unsafe fn new(base: u64, len: u64) -> Self {
        Self { base, len }
    }

    /// The address of the window.
    #[must_use]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// Bytes in the window.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part of the window from `offset` on; empty if it ends before.
    #[must_use]
    pub const fn after(&self, offset: u64) -> Self {
        let skipped = if offset < self.len { offset } else { self.len };
        Self { base: self.base + skipped, len: self.len - skipped }
    }

    /// Reads a byte; zero outside of the window.
    #[must_use]
    pub fn read8(&self, offset: u64) -> u8 {
        if offset >= self.len {
            return 0;
        }
        // SAFETY: as for `read32`.
        unsafe {
            core::ptr::with_exposed_provenance::<u8>((self.base + offset) as usize).read_volatile()
        }
    }

    /// Writes 16 bits; nothing outside of the window.
    pub fn write16(&self, offset: u64, value: u16) {
        if offset + 2 > self.len {
            return;
        }
        let register = core::ptr::with_exposed_provenance_mut::<u16>((self.base + offset) as usize);
        // SAFETY: as for `read32`.
        unsafe { register.write_volatile(value) };
    }

    /// Reads 32 bits; zero outside of the window.
    #[inline]
    #[must_use]
    pub fn read32(&self, offset: u64) -> u32 {
        if offset + 4 > self.len {
            return 0;
        }
        // SAFETY: within the window that `new`'s caller promised is a device's.
        unsafe {
            core::ptr::with_exposed_provenance::<u32>((self.base + offset) as usize).read_volatile()
        }
    }

    /// Writes 32 bits; nothing outside of the window.
    #[inline]
    pub fn write32(&self, offset: u64, value: u32) {
        if offset + 4 > self.len {
            return;
        }
        let register = core::ptr::with_exposed_provenance_mut::<u32>((self.base + offset) as usize);
        // SAFETY: as for `read32`.
        unsafe { register.write_volatile(value) };
    }

    /// Reads 64 bits; zero outside of the window.
    #[must_use]
    pub fn read64(&self, offset: u64) -> u64 {
        if offset + 8 > self.len {
            return 0;
        }
        // SAFETY: as for `read32`.
        unsafe {
            core::ptr::with_exposed_provenance::<u64>((self.base + offset) as usize).read_volatile()
        }
    }

    /// Writes 64 bits; nothing outside of the window.
    pub fn write64(&self, offset: u64, value: u64) {
        if offset + 8 > self.len {
            return;
        }
        let register = core::ptr::with_exposed_provenance_mut::<u64>((self.base + offset) as usize);
        // SAFETY: as for `read32`.
        unsafe { register.write_volatile(value) };
    }
}
