//! The registers, by their number: a sixteenth of the offset in the page of an xAPIC, and the offset
//! from MSR 0x800 in an x2APIC (SDM volume 3A, tables 11-1 and 11-6).

use super::local_vectors::Source;

/// A register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Register {
    Id,
    /// xAPIC only.
    ArbitrationPriority,
    /// xAPIC only.
    RemoteRead,
    LogicalDestination,
    /// xAPIC only.
    DestinationFormat,
    /// The low half, or in an x2APIC all of it.
    Command,
    /// xAPIC only.
    CommandHigh,
    /// x2APIC only.
    SelfInterrupt,
    /// Alike in both.
    Alike(Alike),
}

/// A register that is the same in an xAPIC and in an x2APIC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Alike {
    Version,
    TaskPriority,
    ProcessorPriority,
    EndOfInterrupt,
    Spurious,
    InService(usize),
    TriggerMode(usize),
    Requests(usize),
    ErrorStatus,
    Local(Source),
    InitialCount,
    CurrentCount,
    DivideConfiguration,
}

impl Register {
    #[inline]
    pub(super) const fn at(number: u32) -> Option<Self> {
        Some(match number {
            0x02 => Self::Id,
            0x09 => Self::ArbitrationPriority,
            0x0c => Self::RemoteRead,
            0x0d => Self::LogicalDestination,
            0x0e => Self::DestinationFormat,
            0x30 => Self::Command,
            0x31 => Self::CommandHigh,
            0x3f => Self::SelfInterrupt,
            _ => match Alike::at(number) {
                Some(register) => Self::Alike(register),
                None => return None,
            },
        })
    }
}

impl Alike {
    #[inline(always)]
    const fn at(number: u32) -> Option<Self> {
        Some(match number {
            0x03 => Self::Version,
            0x08 => Self::TaskPriority,
            0x0a => Self::ProcessorPriority,
            0x0b => Self::EndOfInterrupt,
            0x0f => Self::Spurious,
            0x10..0x18 => Self::InService((number & 7) as usize),
            0x18..0x20 => Self::TriggerMode((number & 7) as usize),
            0x20..0x28 => Self::Requests((number & 7) as usize),
            0x28 => Self::ErrorStatus,
            0x32 => Self::Local(Source::Timer),
            0x33 => Self::Local(Source::Thermal),
            0x34 => Self::Local(Source::Performance),
            0x35 => Self::Local(Source::Lint0),
            0x36 => Self::Local(Source::Lint1),
            0x37 => Self::Local(Source::Error),
            0x38 => Self::InitialCount,
            0x39 => Self::CurrentCount,
            0x3e => Self::DivideConfiguration,
            _ => return None,
        })
    }
}
