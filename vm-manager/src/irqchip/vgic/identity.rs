//! What the registers say about the GIC itself.

use super::Version;

/// `GICD_IIDR`, `GICR_IIDR`: product `R`, implementer Arm (IHI 0069 12.9.16, IHI 0048 4.3.3).
pub(super) const IIDR: u32 = (b'R' as u32) << 24 | 0x43b;

/// `GICD_TYPER` (IHI 0069 12.9.38; IHI 0048 4.3.2).
pub(super) const fn typer(version: Version, vcpus: usize, spis: u32) -> u32 {
    // Banks of 32, less one; the private interrupts are the first.
    let lines = spis.div_ceil(32);
    match version {
        Version::V2 => lines | (vcpus as u32 - 1) << 5,
        // MBIS: GICD_SETSPI_NSR exists. IDbits: numbers of ten bits. No1N: an SPI goes to one CPU.
        // With affinity routing always on, CPUNumber is zero. No LPIs, no extended ranges, and
        // affinity level 3 is always zero (A3V).
        Version::V3 => lines | 1 << 16 | 9 << 19 | 1 << 25,
    }
}

/// `GICR_TYPER` of vCPU `vcpu` out of `vcpus` (IHI 0069 12.11.42): affinity 0.0.0.`vcpu`.
pub(super) const fn redistributor_typer(vcpu: usize, vcpus: usize) -> u64 {
    let is_last = vcpu + 1 == vcpus;
    (vcpu as u64) << 32 | (vcpu as u64) << 8 | (is_last as u64) << 4
}

/// Which block of registers is asked who it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A distributor.
    Distributor(Version),
    /// A redistributor.
    Redistributor,
}

/// The peripheral and component identification registers, by their place in the last twelve
/// words of each frame, from `PIDR4` (IHI 0069 12.9.22, 12.1.9; IHI 0048 4.3.18).
pub(super) const fn identification(part: Part, word: u64) -> u32 {
    match (word, part) {
        (0, Part::Distributor(Version::V2)) => 0x04,
        (0, _) => 0x44,
        (4, Part::Distributor(Version::V2)) => 0x90,
        (4, Part::Distributor(Version::V3)) => 0x92,
        (4, Part::Redistributor) => 0x93,
        (5, _) => 0xb4,
        (6, Part::Distributor(Version::V2)) => 0x2b,
        (6, _) => 0x3b,
        (8, _) => 0x0d,
        (9, _) => 0xf0,
        (10, _) => 0x05,
        (11, _) => 0xb1,
        _ => 0,
    }
}
