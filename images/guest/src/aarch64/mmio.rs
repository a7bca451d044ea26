//! Access to device registers, one instruction each: `ldr`/`str` with a plain base register, which leave a valid
//! syndrome for a hypervisor (Arm ARM, ISS encoding of a data abort, ISV).

use core::arch::asm;

/// A block of device registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers(usize);

/// Reads and writes of one width.
macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $load:literal, $store:literal) => {
        #[doc = concat!("Reads at `offset` by `", $load, "`.")]
        #[inline(always)]
        pub fn $read(self, offset: usize) -> $type {
            let value: u64;
            // SAFETY: the maker of this value promised that reads are harmless to Rust's memory.
            unsafe {
                asm!(concat!($load, ", [{address}]"), value = out(reg) value,
                    address = in(reg) self.0 + offset, options(nostack, preserves_flags));
            }
            value as $type
        }

        #[doc = concat!("Writes at `offset` by `", $store, "`.")]
        #[inline(always)]
        pub fn $write(self, offset: usize, value: $type) {
            // SAFETY: the maker of this value promised that writes are harmless to Rust's memory.
            unsafe {
                asm!(concat!($store, ", [{address}]"), value = in(reg) u64::from(value),
                    address = in(reg) self.0 + offset, options(nostack, preserves_flags));
            }
        }
    };
}

impl Registers {
    /// The registers at `address`.
    ///
    /// # Safety
    /// No access through the result may touch memory that Rust knows about.
    pub const unsafe fn new(address: usize) -> Self {
        Self(address)
    }

    /// Where they are.
    pub const fn address(self) -> usize {
        self.0
    }

    access!(read8, write8, u8, "ldrb {value:w}", "strb {value:w}");
    access!(read16, write16, u16, "ldrh {value:w}", "strh {value:w}");
    access!(read32, write32, u32, "ldr {value:w}", "str {value:w}");
    access!(read64, write64, u64, "ldr {value:x}", "str {value:x}");
}
