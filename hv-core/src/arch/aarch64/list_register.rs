//! List registers: how virtual interrupts are handed to the hardware of one CPU.
//!
//! GICv3 has them as `ICH_LR<n>_EL2` (GIC specification IHI 0069, 12.4.9), GICv2 as `GICH_LR<n>`
//! (IHI 0048, 5.3.11). The virtual GIC speaks of [`ListRegister`]s; the codecs here
//! know the bits.

/// The interrupt group: Group 0 is signalled as FIQ, Group 1 as IRQ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Group {
    /// Group 0.
    #[default]
    Zero,
    /// Group 1.
    One,
}

/// What state a list register holds its interrupt in. An empty list register is `None` of
/// [`ListRegister`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Waits to be acknowledged.
    Pending,
    /// Acknowledged, and not yet deactivated.
    Active,
    /// Acknowledged, and pending once more.
    PendingAndActive,
}

/// What stands behind the virtual interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backing {
    /// Nothing physical.
    Software,
    /// Nothing physical, and the guest's end of interrupt raises a maintenance interrupt.
    SoftwareEoi,
    /// This physical interrupt, which the guest's deactivation deactivates.
    Hardware(u32),
}

/// One virtual interrupt in a list register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListRegister {
    /// The virtual interrupt, 0 to 1019.
    pub intid: u32,
    /// The CPU that sent it, 0 to 7: for SGIs on GICv2 only, else 0.
    pub source: u8,
    /// Priority, 0 the highest.
    pub priority: u8,
    /// Group 0 or 1.
    pub group: Group,
    /// Pending, active or both.
    pub state: State,
    /// What stands behind it.
    pub backing: Backing,
}

/// Whether the hardware raises the underflow maintenance interrupt: none or one list register is in
/// use (`ICH_HCR_EL2.UIE`, `GICH_HCR.UIE`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Underflow {
    /// It does not.
    Quiet,
    /// It does: more interrupts wait than there are list registers.
    Signalled,
}

/// The list registers of the CPU on which the vCPU is loaded.
pub trait ListRegisters {
    /// How many there are, 1 to 64 (4 or 16 in practice).
    fn count(&self) -> usize;
    /// A set bit for each list register that holds no interrupt (`ICH_ELRSR_EL2`, `GICH_ELRSR`).
    fn empty(&self) -> u64;
    /// The content of register `index`; `None` when it is empty or does not exist.
    fn get(&self, index: usize) -> Option<ListRegister>;
    /// Replaces the content of register `index`.
    fn set(&mut self, index: usize, content: Option<ListRegister>);
    /// Switches the underflow maintenance interrupt.
    fn set_underflow(&mut self, underflow: Underflow);
}

const STATE_SHIFT_V3: u32 = 62;
const STATE_SHIFT_V2: u32 = 28;

impl ListRegister {
    /// `ICH_LR<n>_EL2`: vINTID 31:0, pINTID 44:32 (bit 41: EOI, without hardware), priority 55:48,
    /// group 60, HW 61, state 63:62. IHI 0069, 12.4.9.
    #[inline]
    #[must_use]
    pub fn encode_v3(self) -> u64 {
        let backing = match self.backing {
            Backing::Software => 0,
            Backing::SoftwareEoi => 1 << 41,
            Backing::Hardware(intid) => 1 << 61 | u64::from(intid & 0x1fff) << 32,
        };
        u64::from(self.intid)
            | backing
            | u64::from(self.priority) << 48
            | u64::from(self.group == Group::One) << 60
            | self.state.bits() << STATE_SHIFT_V3
    }

    /// The reverse of [`Self::encode_v3`]; `None` for an empty register.
    #[inline]
    #[must_use]
    pub fn decode_v3(value: u64) -> Option<Self> {
        let backing = if value & 1 << 61 != 0 {
            Backing::Hardware((value >> 32) as u32 & 0x1fff)
        } else if value & 1 << 41 != 0 {
            Backing::SoftwareEoi
        } else {
            Backing::Software
        };
        Some(Self {
            intid: value as u32,
            source: 0,
            priority: (value >> 48) as u8,
            group: if value & 1 << 60 != 0 { Group::One } else { Group::Zero },
            state: State::from_bits(value >> STATE_SHIFT_V3 & 3)?,
            backing,
        })
    }

    /// `GICH_LR<n>`: VirtualID 9:0, PhysicalID 19:10 (without hardware: CPUID 12:10, EOI 19),
    /// priority 27:23 (the upper five bits), state 29:28, group 30, HW 31. IHI 0048, 5.3.11.
    #[inline]
    #[must_use]
    pub fn encode_v2(self) -> u32 {
        let source = u32::from(self.source & 7) << 10;
        let backing = match self.backing {
            Backing::Software => source,
            Backing::SoftwareEoi => source | 1 << 19,
            Backing::Hardware(intid) => 1 << 31 | (intid & 0x3ff) << 10,
        };
        (self.intid & 0x3ff)
            | backing
            | u32::from(self.priority >> 3) << 23
            | (self.state.bits() as u32) << STATE_SHIFT_V2
            | u32::from(self.group == Group::One) << 30
    }

    /// The reverse of [`Self::encode_v2`]; `None` for an empty register.
    #[inline]
    #[must_use]
    pub fn decode_v2(value: u32) -> Option<Self> {
        let (source, backing) = if value & 1 << 31 != 0 {
            (0, Backing::Hardware(value >> 10 & 0x3ff))
        } else if value & 1 << 19 != 0 {
            ((value >> 10 & 7) as u8, Backing::SoftwareEoi)
        } else {
            ((value >> 10 & 7) as u8, Backing::Software)
        };
        Some(Self {
            intid: value & 0x3ff,
            source,
            priority: (value >> 23 & 31) as u8 * 8,
            group: if value & 1 << 30 != 0 { Group::One } else { Group::Zero },
            state: State::from_bits(u64::from(value >> STATE_SHIFT_V2 & 3))?,
            backing,
        })
    }
}

impl State {
    const fn bits(self) -> u64 {
        match self {
            Self::Pending => 0b01,
            Self::Active => 0b10,
            Self::PendingAndActive => 0b11,
        }
    }

    const fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0b01 => Some(Self::Pending),
            0b10 => Some(Self::Active),
            0b11 => Some(Self::PendingAndActive),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMER: ListRegister = ListRegister {
        intid: 27,
        source: 0,
        priority: 0xa0,
        group: Group::One,
        state: State::Pending,
        backing: Backing::Hardware(27),
    };

    #[test]
    fn the_timer_in_a_list_register_of_each_version() {
        assert_eq!(TIMER.encode_v3(), 0x70a0_001b_0000_001b);
        assert_eq!(TIMER.encode_v2(), 0xda00_6c1b);
    }

    #[test]
    fn an_empty_register_holds_nothing() {
        assert_eq!(ListRegister::decode_v3(0), None);
        assert_eq!(ListRegister::decode_v2(0), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(intid in 0..1020_u32, source in 0..8_u8, priority in 0..32_u8,
                                      one: bool, state in 1..4_u64, backing in 0..3_u8) {
            let lr = ListRegister {
                intid,
                source: if backing == 2 { 0 } else { source },
                priority: priority * 8,
                group: if one { Group::One } else { Group::Zero },
                state: State::from_bits(state).unwrap(),
                backing: match backing {
                    0 => Backing::Software,
                    1 => Backing::SoftwareEoi,
                    _ => Backing::Hardware(intid),
                },
            };
            prop_assert_eq!(ListRegister::decode_v2(lr.encode_v2()), Some(lr));
            let lr = ListRegister { source: 0, ..lr };
            prop_assert_eq!(ListRegister::decode_v3(lr.encode_v3()), Some(lr));
        }
    }
}
