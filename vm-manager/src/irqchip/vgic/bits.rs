//! The registers that show a bank as 32 bits: what reading and writing them does.

use super::bank::Bank;

/// A register with one bit for each interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bits {
    /// `IGROUPR`.
    Group,
    /// `ISENABLER`.
    SetEnable,
    /// `ICENABLER`.
    ClearEnable,
    /// `ISPENDR`.
    SetPending,
    /// `ICPENDR`.
    ClearPending,
    /// `ISACTIVER`.
    SetActive,
    /// `ICACTIVER`.
    ClearActive,
}

impl Bank {
    /// What the guest reads.
    pub(super) const fn read(&self, bits: Bits) -> u32 {
        match bits {
            Bits::Group => self.group1,
            Bits::SetEnable | Bits::ClearEnable => self.enabled,
            Bits::SetPending | Bits::ClearPending => {
                self.pending() | (self.lr_pending & !self.drop_pending)
            }
            Bits::SetActive | Bits::ClearActive => {
                (self.active & !self.drop_active) | self.make_active
            }
        }
    }

    /// Does what the guest writes, and returns which interrupts that changed. A change of one that
    /// is in a list register is only noted; the CPU that has it makes it at its next flush.
    pub(super) const fn write(&mut self, bits: Bits, value: u32) -> u32 {
        let value = value & self.valid;
        match bits {
            Bits::Group => {
                let value = value | (self.group1 & !self.valid);
                let changed = self.group1 ^ value;
                self.group1 = value;
                self.recast |= changed & self.resident;
                changed
            }
            Bits::SetEnable => {
                let changed = value & !self.enabled;
                self.enabled |= value;
                changed
            }
            Bits::ClearEnable => {
                let changed = value & self.enabled;
                self.enabled &= !value;
                self.recast |= changed & self.resident;
                changed
            }
            Bits::SetPending => {
                let changed = value & !self.latch;
                self.latch |= value;
                changed
            }
            Bits::ClearPending => {
                let changed = value & (self.latch | self.resident);
                self.latch &= !value;
                self.drop_pending |= value & self.resident;
                changed
            }
            Bits::SetActive => {
                self.active |= value & !self.resident;
                self.make_active |= value & self.resident;
                self.drop_active &= !value;
                value
            }
            Bits::ClearActive => {
                let changed = value & (self.active | self.resident);
                self.active &= !(value & !self.resident);
                self.drop_active |= value & self.resident;
                self.make_active &= !value;
                changed
            }
        }
    }

    /// `ICFGR` for the lower or upper half of the bank: two bits each, of which the upper one says
    /// edge-triggered.
    pub(super) fn read_config(&self, half: Half) -> u32 {
        let edge = self.edge >> half.shift();
        (0..16).fold(0, |word, n| word | (edge >> n & 1) << (2 * n + 1))
    }

    /// Writes `ICFGR`, and returns which interrupts that changed.
    pub(super) fn write_config(&mut self, half: Half, value: u32) -> u32 {
        let edge = (0..16).fold(0, |word, n| word | (value >> (2 * n + 1) & 1) << n);
        let covered = 0xffff << half.shift() & self.valid;
        let edge = (self.edge & !covered) | (edge << half.shift() & covered);
        let changed = self.edge ^ edge;
        self.edge = edge;
        self.recast |= changed & self.resident;
        changed
    }
}

/// Half of a bank: what one word of `ICFGR` covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Half {
    Lower,
    Upper,
}

impl Half {
    const fn shift(self) -> u32 {
        match self {
            Self::Lower => 0,
            Self::Upper => 16,
        }
    }
}
