//! I/O ports.

use core::arch::asm;

/// Reads and writes of one width.
macro_rules! access {
    ($read:ident, $write:ident, $type:ty, $register:tt) => {
        #[doc = concat!("`in ", $register, ", dx`.")]
        #[inline(always)]
        pub fn $read(port: u16) -> $type {
            let value: $type;
            // SAFETY: no port of the machines that this runs on writes to memory.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port,
                    options(nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("`out dx, ", $register, "`.")]
        #[inline(always)]
        pub fn $write(port: u16, value: $type) {
            // SAFETY: as above.
            unsafe {
                asm!(concat!("out dx, ", $register), in($register) value, in("dx") port,
                    options(nostack, preserves_flags));
            }
        }
    };
}

access!(read8, write8, u8, "al");
access!(read16, write16, u16, "ax");
access!(read32, write32, u32, "eax");
