//! Memory type range registers: kept, and without effect. What a guest's memory is, the second-level tables say. Intel SDM
//! vol. 3A, 12.11.

const CAPABILITIES: u32 = 0xfe;
const VARIABLE: u32 = 0x200;
const RANGES: usize = 8;
const VARIABLE_LAST: u32 = VARIABLE + 2 * RANGES as u32 - 1;
const FIXED: [u32; 11] =
    [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];
const DEFAULT_TYPE: u32 = 0x2ff;
/// Eight variable ranges, the fixed ones, write combining.
const CAPABILITIES_VALUE: u64 = RANGES as u64 | 1 << 8 | 1 << 10;
/// Enabled, write-back. At reset they are off, which means uncacheable; there is no firmware here that changes that.
const DEFAULT_TYPE_VALUE: u64 = 1 << 11 | 6;

/// This register cannot have this value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Invalid;

/// The registers.
#[derive(Clone, Debug)]
pub(super) struct Mtrrs {
    default_type: u64,
    fixed: [u64; FIXED.len()],
    /// Base and mask in turns.
    variable: [u64; 2 * RANGES],
}

impl Default for Mtrrs {
    fn default() -> Self {
        Self {
            default_type: DEFAULT_TYPE_VALUE,
            fixed: [0; FIXED.len()],
            variable: [0; 2 * RANGES],
        }
    }
}

impl Mtrrs {
    /// RDMSR, if it is one of these.
    pub(super) fn read(&self, index: u32) -> Option<u64> {
        match index {
            CAPABILITIES => Some(CAPABILITIES_VALUE),
            DEFAULT_TYPE => Some(self.default_type),
            VARIABLE..=VARIABLE_LAST => self.variable.get((index - VARIABLE) as usize).copied(),
            _ => self.fixed.get(fixed(index)?).copied(),
        }
    }

    /// WRMSR, if it is one of these.
    pub(super) fn write(&mut self, index: u32, value: u64) -> Option<Result<(), Invalid>> {
        let (slot, is_valid) = match index {
            CAPABILITIES => return Some(Err(Invalid)),
            // Type 7:0, fixed enabled 10, enabled 11.
            DEFAULT_TYPE => (&mut self.default_type, value & !0xcff == 0 && is_type(value as u8)),
            VARIABLE..=VARIABLE_LAST => {
                let is_valid = match index & 1 {
                    // Type 7:0; bits 11:8 are reserved.
                    0 => value & 0xf00 == 0 && is_type(value as u8),
                    // Valid 11; bits 10:0 are reserved.
                    _ => value & 0x7ff == 0,
                };
                (self.variable.get_mut((index - VARIABLE) as usize)?, is_valid)
            }
            _ => {
                let is_valid = value.to_le_bytes().into_iter().all(is_type);
                (self.fixed.get_mut(fixed(index)?)?, is_valid)
            }
        };
        if !is_valid {
            return Some(Err(Invalid));
        }
        *slot = value;
        Some(Ok(()))
    }
}

fn fixed(index: u32) -> Option<usize> {
    FIXED.iter().position(|number| *number == index)
}

/// Uncacheable, write combining, write-through, write-protected, write-back (table 12-8).
const fn is_type(byte: u8) -> bool {
    matches!(byte, 0 | 1 | 4..=6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_write_back_from_the_start() {
        let mtrrs = Mtrrs::default();
        assert_eq!(mtrrs.read(0x2ff), Some(0xc06 & !0x400));
        assert_eq!(mtrrs.read(0xfe), Some(0x508));
    }

    #[test]
    fn ranges_are_kept() {
        let mut mtrrs = Mtrrs::default();
        for (index, value) in
            [(0x200, 0xc000_0000), (0x20f, 0x3f_c000_0800), (0x26f, 0x0505_0505_0505_0505)]
        {
            assert_eq!(mtrrs.write(index, value), Some(Ok(())));
            assert_eq!(mtrrs.read(index), Some(value));
        }
    }

    #[test]
    fn reserved_types_and_bits_are_refused() {
        let mut mtrrs = Mtrrs::default();
        for (index, value) in
            [(0x2ff, 2), (0x2ff, 1 << 12), (0x200, 7), (0x201, 1), (0x250, 3 << 8), (0xfe, 0)]
        {
            assert_eq!(mtrrs.write(index, value), Some(Err(Invalid)), "{index:#x}");
        }
    }

    #[test]
    fn others_are_not_ours() {
        let mut mtrrs = Mtrrs::default();
        for index in [0x1ff, 0x210, 0x251, 0x277, 0x300] {
            assert_eq!((mtrrs.read(index), mtrrs.write(index, 0)), (None, None));
        }
    }
}
