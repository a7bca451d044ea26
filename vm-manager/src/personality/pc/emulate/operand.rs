//! Where an instruction's operands are.

use super::super::cpu::PcCpu;
use hv_core::arch::x86_64::register::{Segment, SegmentName, SystemRegister, efer};
use hv_core::guest::Width;

/// How wide the code is: what its operands and addresses are without prefixes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum CodeSize {
    /// Real mode, virtual-8086 mode, 16-bit segments.
    #[default]
    Bits16,
    /// 32-bit segments.
    Bits32,
    /// Long mode but for its compatibility mode.
    Bits64,
}

impl CodeSize {
    pub(super) fn of(cpu: &impl PcCpu) -> Self {
        let attributes = cpu.segment(SegmentName::Cs).attributes;
        if attributes & Segment::LONG != 0 && cpu.system(SystemRegister::Efer) & efer::LMA != 0 {
            Self::Bits64
        } else if attributes & Segment::WIDE != 0 {
            Self::Bits32
        } else {
            Self::Bits16
        }
    }

    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }

    /// The bits of a linear address, or of the instruction pointer, that count.
    pub(super) const fn linear(self, address: u64) -> u64 {
        match self {
            Self::Bits16 | Self::Bits32 => address & Width::B4.ones(),
            Self::Bits64 => address,
        }
    }
}

/// Which part of a general register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// From bit 0 on.
    Low,
    /// Bits 15:8: AH, CH, DH, BH.
    High,
}

/// A general register, or a part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Register {
    /// 0 to 15, as encodings number them.
    pub(super) number: u8,
    pub(super) width: Width,
    pub(super) part: Part,
}

impl Register {
    /// The low part of a register.
    pub(super) const fn low(number: u8, width: Width) -> Self {
        Self { number, width, part: Part::Low }
    }

    #[inline(always)]
    pub(super) fn get(self, cpu: &impl PcCpu) -> u64 {
        let value = cpu.general(self.number);
        match self.part {
            Part::Low => value & self.width.ones(),
            Part::High => value >> 8 & 0xff,
        }
    }

    /// Sets it as instructions do: 32 bits clear the upper half, fewer leave the rest alone (SDM vol. 1, 3.4.1.1).
    pub(super) fn set(self, cpu: &mut impl PcCpu, value: u64) {
        let value = match (self.part, self.width) {
            (Part::Low, Width::B4 | Width::B8) => value & self.width.ones(),
            (Part::Low, Width::B1 | Width::B2) => {
                let ones = self.width.ones();
                cpu.general(self.number) & !ones | value & ones
            }
            (Part::High, _) => cpu.general(self.number) & !0xff00 | (value & 0xff) << 8,
        };
        cpu.set_general(self.number, value);
    }
}

/// An operand that is not in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    Register(Register),
    /// Sign-extended to 64 bits.
    Immediate(u64),
}

impl Source {
    /// Its value, of this width.
    pub(super) fn get(self, cpu: &impl PcCpu, width: Width) -> u64 {
        match self {
            Self::Register(register) => register.get(cpu),
            Self::Immediate(value) => value & width.ones(),
        }
    }
}

/// How an address is made of registers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) segment: SegmentName,
    pub(super) base: Option<u8>,
    pub(super) index: Option<u8>,
    /// By how many bits the index is shifted.
    pub(super) shift: u8,
    /// What is added. Where the address is relative to the instruction pointer, that is in it.
    pub(super) displacement: u64,
    /// How wide the sum is.
    pub(super) width: Width,
}

impl Address {
    /// No registers, no displacement.
    pub(super) const ZERO: Self = Self {
        segment: SegmentName::Ds,
        base: None,
        index: None,
        shift: 0,
        displacement: 0,
        width: Width::B8,
    };

    /// The offset in the segment, `further` bytes on.
    #[inline(always)]
    pub(super) fn offset(&self, cpu: &impl PcCpu, further: u64) -> u64 {
        let base = self.base.map_or(0, |number| cpu.general(number));
        let index = self.index.map_or(0, |number| cpu.general(number)) << self.shift;
        let sum = base.wrapping_add(index).wrapping_add(self.displacement).wrapping_add(further);
        sum & self.width.ones()
    }
}

/// The linear address of an offset in a segment. In 64-bit code only FS and GS have a base (SDM vol. 1, 3.4.2.1).
pub(super) fn linear(cpu: &impl PcCpu, size: CodeSize, segment: SegmentName, offset: u64) -> u64 {
    match (size, segment) {
        (CodeSize::Bits64, SegmentName::Fs | SegmentName::Gs) => {
            cpu.segment(segment).base.wrapping_add(offset)
        }
        (CodeSize::Bits64, _) => offset,
        (CodeSize::Bits16 | CodeSize::Bits32, _) => {
            size.linear(cpu.segment(segment).base.wrapping_add(offset))
        }
    }
}

/// Whether a segment has all of these bytes: SDM vol. 3A, 5.3. The type of an access is not looked at.
pub(super) fn has_room(segment: Segment, offset: u64, bytes: u64) -> bool {
    const CODE: u16 = 1 << 3;
    const EXPANDS_DOWN: u16 = 1 << 2;
    const PRESENT: u16 = 1 << 7;
    let last = offset + (bytes - 1);
    let limit = u64::from(segment.limit);
    if segment.attributes & PRESENT == 0 {
        return false;
    }
    if segment.attributes & (CODE | EXPANDS_DOWN) != EXPANDS_DOWN {
        return last <= limit;
    }
    let top = if segment.attributes & Segment::WIDE != 0 { Width::B4 } else { Width::B2 };
    offset > limit && last <= top.ones()
}
