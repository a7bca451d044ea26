//! Access to device registers, one plain `mov` each.

use core::arch::asm;

/// A block of device registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers(usize);

/// Reads and writes of one width.
macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $class:ident, $form:literal) => {
        #[doc = concat!("Reads at `offset` by a `mov` of a ", $form, ".")]
        #[inline(always)]
        pub fn $read(self, offset: usize) -> $type {
            let value: $type;
            // SAFETY: the maker of this value promised that reads are harmless to Rust's memory.
            unsafe {
                asm!(concat!("mov {value", $form, "}, [{address}]"), value = out($class) value,
                    address = in(reg) self.0 + offset, options(nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes at `offset` by a `mov` of a ", $form, ".")]
        #[inline(always)]
        pub fn $write(self, offset: usize, value: $type) {
            // SAFETY: the maker of this value promised that writes are harmless to Rust's memory.
            unsafe {
                asm!(concat!("mov [{address}], {value", $form, "}"), value = in($class) value,
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

    access!(read8, write8, u8, reg_byte, "");
    access!(read16, write16, u16, reg, ":x");
    access!(read32, write32, u32, reg, ":e");
    access!(read64, write64, u64, reg, ":r");
}
