//! The map of registers that concern interrupts, and of the distributor as a whole.
//!
//! The distributor and the SGI frame of a redistributor have the former at the same offsets; a
//! redistributor has only bank 0 (IHI 0069 12.8 and 12.10; IHI 0048 4.1.2).

use super::Version;
use super::bits::{Bits, Half};
use super::spi::FIRST_SPI;
use hv_core::guest::Width;

/// A register, as a word at an offset that is a multiple of four.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Register {
    /// `GICD_CTLR`.
    Control,
    /// `GICD_TYPER`.
    Typer,
    /// `GICD_IIDR`.
    Iidr,
    /// `GICD_SETSPI_NSR`: makes an interrupt pending by message.
    SetSpi,
    /// `GICD_CLRSPI_NSR`.
    ClearSpi,
    /// One about interrupts.
    Of(Interrupts),
    /// `GICD_SGIR`.
    Sgir,
    /// An identification register, by its place.
    Identification(u64),
    /// One that exists, but is of no use here: reads as zero, and ignores writes.
    Zero,
}

/// A register about interrupts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interrupts {
    /// A register of bits, and its bank.
    Bits(Bits, usize),
    /// `IPRIORITYR`, for the four interrupts from this one.
    Priority(u32),
    /// `GICD_ITARGETSR`, for the four interrupts from this one.
    Targets(u32),
    /// `ICFGR`, for half a bank.
    Config(usize, Half),
    /// `GICD_CPENDSGIR`, for the four SGIs from this one.
    ClearSgiPending(u32),
    /// `GICD_SPENDSGIR`, for the four SGIs from this one.
    SetSgiPending(u32),
    /// The lower half of `GICD_IROUTER`.
    Route(u32),
}

impl Register {
    /// The distributor's register of which `offset` is a byte, if it may be accessed there with `width`.
    pub(super) fn of_distributor(version: Version, offset: u64, width: Width) -> Option<Self> {
        Self::in_distributor(version, offset & !3).filter(|register| register.admits(offset, width))
    }

    /// The register of which `offset` is a byte, in the SGI frame of a redistributor, if it may be accessed there
    /// with `width`.
    pub(super) fn of_sgi_frame(offset: u64, width: Width) -> Option<Self> {
        Self::in_sgi_frame(offset & !3).filter(|register| register.admits(offset, width))
    }

    const fn in_distributor(version: Version, offset: u64) -> Option<Self> {
        match (offset, version) {
            (0x000, _) => Some(Self::Control),
            (0x004, _) => Some(Self::Typer),
            (0x008, _) => Some(Self::Iidr),
            (0x080..0xd00, _) => Self::of_bank(version, offset),
            (0xf00, Version::V2) => Some(Self::Sgir),
            (0xf10..0xf20, Version::V2) => {
                Some(Self::Of(Interrupts::ClearSgiPending((offset - 0xf10) as u32)))
            }
            (0xf20..0xf30, Version::V2) => {
                Some(Self::Of(Interrupts::SetSgiPending((offset - 0xf20) as u32)))
            }
            (0xfd0..0x1000, Version::V2) => Some(Self::Identification((offset - 0xfd0) / 4)),
            (0x040, Version::V3) => Some(Self::SetSpi),
            (0x048, Version::V3) => Some(Self::ClearSpi),
            // TYPER2, STATUSR, SETSPI_SR and CLRSPI_SR; IGRPMODR, NSACR, SGIR, CPENDSGIR and
            // SPENDSGIR, none of which does anything with one security state and affinity routing.
            (0x00c | 0x010 | 0x050 | 0x058, Version::V3) => Some(Self::Zero),
            (0xd00..0xd80 | 0xe00..0xf04 | 0xf10..0xf30, Version::V3) => Some(Self::Zero),
            (0x6100..0x7fe0, Version::V3) if offset.is_multiple_of(8) => {
                Some(Self::Of(Interrupts::Route(((offset - 0x6000) / 8) as u32)))
            }
            // Affinity level 3 is always zero.
            (0x6100..0x7fe0, Version::V3) => Some(Self::Zero),
            (0xffd0..0x1_0000, Version::V3) => Some(Self::Identification((offset - 0xffd0) / 4)),
            _ => None,
        }
    }

    const fn in_sgi_frame(offset: u64) -> Option<Self> {
        match offset {
            0x080
            | 0x100
            | 0x180
            | 0x200
            | 0x280
            | 0x300
            | 0x380
            | 0x400..0x420
            | 0xc00
            | 0xc04 => Self::of_bank(Version::V3, offset),
            // IGRPMODR0 and NSACR: nothing with one security state.
            0xd00 | 0xe00 => Some(Self::Zero),
            _ => None,
        }
    }

    const fn of_bank(version: Version, offset: u64) -> Option<Self> {
        let bank = (offset / 4 % 32) as usize;
        match offset / 0x80 {
            0x01 => Some(Self::Of(Interrupts::Bits(Bits::Group, bank))),
            0x02 => Some(Self::Of(Interrupts::Bits(Bits::SetEnable, bank))),
            0x03 => Some(Self::Of(Interrupts::Bits(Bits::ClearEnable, bank))),
            0x04 => Some(Self::Of(Interrupts::Bits(Bits::SetPending, bank))),
            0x05 => Some(Self::Of(Interrupts::Bits(Bits::ClearPending, bank))),
            0x06 => Some(Self::Of(Interrupts::Bits(Bits::SetActive, bank))),
            0x07 => Some(Self::Of(Interrupts::Bits(Bits::ClearActive, bank))),
            0x08..0x10 => Some(Self::Of(Interrupts::Priority((offset - 0x400) as u32))),
            0x10..0x18 => match version {
                Version::V2 => Some(Self::Of(Interrupts::Targets((offset - 0x800) as u32))),
                Version::V3 => Some(Self::Zero),
            },
            0x18 | 0x19 => {
                let half = if offset.is_multiple_of(8) { Half::Lower } else { Half::Upper };
                Some(Self::Of(Interrupts::Config(((offset - 0xc00) / 8) as usize, half)))
            }
            _ => None,
        }
    }

    /// Whether the register may be accessed with `width` at `offset` (IHI 0069 12.1.3, IHI 0048
    /// 4.1.4). All of them may be as words; only bytes lie elsewhere than at their beginning.
    const fn admits(self, offset: u64, width: Width) -> bool {
        if offset & 3 != 0 && !matches!(width, Width::B1) {
            return false;
        }
        match self {
            Self::SetSpi | Self::ClearSpi => matches!(width, Width::B2 | Width::B4),
            Self::Of(
                Interrupts::Priority(_)
                | Interrupts::Targets(_)
                | Interrupts::SetSgiPending(_)
                | Interrupts::ClearSgiPending(_),
            ) => matches!(width, Width::B1 | Width::B4),
            Self::Of(Interrupts::Route(_)) => matches!(width, Width::B4 | Width::B8),
            Self::Of(Interrupts::Bits(..) | Interrupts::Config(..))
            | Self::Control
            | Self::Typer
            | Self::Iidr
            | Self::Sgir
            | Self::Identification(_)
            | Self::Zero => matches!(width, Width::B4),
        }
    }
}

impl Interrupts {
    /// Whether it is one of bits, priorities or triggers of private interrupts.
    pub(super) const fn is_private(self) -> bool {
        match self {
            Self::Bits(_, bank) | Self::Config(bank, _) => bank == 0,
            Self::Priority(first) => first < FIRST_SPI,
            Self::Targets(_)
            | Self::ClearSgiPending(_)
            | Self::SetSgiPending(_)
            | Self::Route(_) => false,
        }
    }
}
