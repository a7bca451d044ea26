//! The identification registers that guests see: what the CPU has, less what Roost does not offer.
//!
//! `HCR_EL2.TID3` traps the whole block of op0 3, op1 0, CRn 0, CRm 1 to 7 (Arm ARM D19.2.48). Each field
//! that is kept is kept on purpose; every other field reads zero, which says "not implemented" for
//! all fields but the signed ones that are kept.

use super::sysreg::SystemRegister;

/// The registers of one CPU that are passed on in part.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HostIds {
    /// `ID_AA64PFR0_EL1`.
    pub pfr0: u64,
    /// `ID_AA64PFR1_EL1`.
    pub pfr1: u64,
    /// `ID_AA64ISAR0_EL1`.
    pub isar0: u64,
    /// `ID_AA64ISAR1_EL1`.
    pub isar1: u64,
    /// `ID_AA64ISAR2_EL1`.
    pub isar2: u64,
    /// `ID_AA64MMFR0_EL1`.
    pub mmfr0: u64,
    /// `ID_AA64MMFR1_EL1`.
    pub mmfr1: u64,
    /// `ID_AA64MMFR2_EL1`.
    pub mmfr2: u64,
}

/// The interrupt controller of the host, which is that of its guests: they use its CPU interfaces. `ID_AA64PFR0_EL1.GIC`
/// tells which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GicVersion {
    /// GICv2: distributor and CPU interface in memory.
    V2,
    /// GICv3: distributor and redistributors in memory, the CPU interface in system registers.
    V3,
}

impl GicVersion {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "GICv2",
            Self::V3 => "GICv3",
        }
    }
}

/// The field of four bits at `shift`.
const fn field(value: u64, shift: u32) -> u64 {
    value >> shift & 0xf
}

const fn keep(value: u64, shifts: &[u32]) -> u64 {
    let mut kept = 0;
    let mut index = 0;
    while index < shifts.len() {
        kept |= value & 0xf << shifts[index];
        index += 1;
    }
    kept
}

/// The field at `shift`, but at most `max`.
fn at_most(value: u64, shift: u32, max: u64) -> u64 {
    field(value, shift).min(max) << shift
}

/// Whether the CPU has pointer authentication, of whatever algorithm: then the keys of a guest change
/// hands with its vCPU.
#[must_use]
pub fn has_pointer_authentication(ids: &HostIds) -> bool {
    const ISAR1: [u32; 4] = [4, 8, 24, 28]; // APA, API, GPA, GPI
    const ISAR2: [u32; 2] = [8, 12]; // GPA3, APA3
    keep(ids.isar1, &ISAR1) | keep(ids.isar2, &ISAR2) != 0
}

/// What guests read in each identification register: made once for each CPU, looked up at each trap.
#[derive(Clone, Debug)]
pub struct GuestIds {
    /// By CRm and Op2.
    values: [u64; 64],
}

impl GuestIds {
    /// What the guests of a CPU read.
    #[must_use]
    pub fn new(host: &HostIds, gic: GicVersion) -> Self {
        let mut values = [0; 64];
        for (index, slot) in (0..).zip(&mut values) {
            *slot = value(index / 8, index % 8, host, gic);
        }
        Self { values }
    }

    /// The guest's value of an identification register, or `None` if `register` is not one.
    #[inline]
    #[must_use]
    pub fn get(&self, register: SystemRegister) -> Option<u64> {
        if !register.is_identification() {
            return None;
        }
        self.values.get((register.crm() * 8 + register.op2()) as usize).copied()
    }
}

fn value(crm: u32, op2: u32, host: &HostIds, gic: GicVersion) -> u64 {
    match (crm, op2) {
        (4, 0) => pfr0(host.pfr0, gic),
        // SSBS and BTI; neither MTE nor SME.
        (4, 1) => keep(host.pfr1, &[0, 4]),
        // DebugVer 6 is the least there is. With no PMU, and 2 breakpoints and watchpoints that read
        // zero and ignore writes: the architecture has no word for none.
        (5, 0) => 6 | 1 << 12 | 1 << 20,
        // All but TME (24).
        (6, 0) => keep(host.isar0, &[4, 8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 52, 56, 60]),
        // All but LS64 (60), XS (56).
        (6, 1) => keep(host.isar1, &[0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52]),
        // RPRES, GPA3, APA3, PAC_frac, BC; not WFxT (0), MOPS (16), CLRBHB is a hint.
        (6, 2) => keep(host.isar2, &[4, 8, 12, 20, 24, 28]),
        (7, 0) => mmfr0(host.mmfr0),
        // HAFDBS, VMIDBits, HPDS, PAN, XNX, ETS, AFP; not VH (8), LO (16), HCX (40).
        (7, 1) => keep(host.mmfr1, &[0, 4, 12, 20, 28, 36, 44]),
        // CnP, UAO, LSM, IESB, VARange, CCIDX, ST, AT, IDS, TTL, BBM, E0PD; not NV (24), FWB (40), EVT (56).
        (7, 2) => keep(host.mmfr2, &[0, 4, 8, 16, 20, 28, 32, 36, 48, 52, 60]),
        _ => 0,
    }
}

fn pfr0(host: u64, gic: GicVersion) -> u64 {
    const AARCH64_ONLY: u64 = 1;
    let el0_el1 = AARCH64_ONLY | AARCH64_ONLY << 4;
    // FP and AdvSIMD are signed: 0xf says none. DIT, CSV2 and CSV3 tell what software may leave out.
    let floating_point = keep(host, &[16, 20]);
    let gic = match gic {
        GicVersion::V2 => 0,
        GicVersion::V3 => 1 << 24,
    };
    el0_el1 | floating_point | gic | keep(host, &[48, 60]) | at_most(host, 56, 1)
}

fn mmfr0(host: u64) -> u64 {
    const PA_40_BITS: u64 = 2;
    // Granules TGran16 (20), TGran64 (24, signed), TGran4 (28, signed): those of stage 1, less 52 bits.
    let large_granule = |shift| if field(host, shift) == 0xf { 0xf << shift } else { 0 };
    at_most(host, 0, PA_40_BITS)
        | keep(host, &[4, 8, 12, 16])
        | at_most(host, 20, 1)
        | large_granule(24)
        | large_granule(28)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: HostIds = HostIds {
        pfr0: 0x1111_1111_1111_1112,
        pfr1: 0x1111_1111_1111_1111,
        isar0: 0x1111_1111_1111_1111,
        isar1: 0x1111_1111_1111_1111,
        isar2: 0x1111_1111_1111_1111,
        mmfr0: 0x1111_1111_1111_1116,
        mmfr1: 0x1111_1111_1111_1111,
        mmfr2: 0x1111_1111_1111_1111,
    };

    fn guest(crm: u32, op2: u32) -> u64 {
        let ids = GuestIds::new(&ALL, GicVersion::V3);
        ids.get(SystemRegister::new(3, 0, 0, crm, op2)).unwrap()
    }

    #[test]
    fn el2_el3_sve_ras_and_32_bit_are_hidden() {
        let pfr0 = guest(4, 0);
        assert_eq!(pfr0 & 0xff, 0x11, "EL0 and EL1 are AArch64 only");
        assert_eq!(pfr0 >> 8 & 0xff, 0, "EL2, EL3");
        assert_eq!(pfr0 >> 28 & 0xf_ffff, 0, "RAS, SVE, SEL2, MPAM, AMU");
        assert_eq!(pfr0 >> 24 & 0xf, 1, "GIC system registers");
        assert_eq!(guest(4, 4), 0, "ID_AA64ZFR0_EL1");
    }

    #[test]
    fn a_gicv2_guest_sees_no_gic_system_registers() {
        let register = SystemRegister::new(3, 0, 0, 4, 0);
        let ids = GuestIds::new(&ALL, GicVersion::V2);
        assert_eq!(ids.get(register).unwrap() >> 24 & 0xf, 0);
    }

    #[test]
    fn no_pmu_and_no_nested_virtualization() {
        assert_eq!(guest(5, 0) >> 8 & 0xf, 0, "PMUVer");
        assert_eq!(guest(7, 1) >> 8 & 0xf, 0, "VH");
        assert_eq!(guest(7, 2) >> 24 & 0xf, 0, "NV");
    }

    #[test]
    fn the_physical_address_size_is_what_stage_2_offers() {
        assert_eq!(guest(7, 0) & 0xf, 2, "40 bits");
    }

    #[test]
    fn what_is_reserved_or_32_bit_reads_zero() {
        for crm in 1..=3 {
            for op2 in 0..8 {
                assert_eq!(guest(crm, op2), 0);
            }
        }
        assert_eq!(guest(7, 7), 0);
    }

    #[test]
    fn other_registers_are_not_answered() {
        for register in [
            SystemRegister::new(3, 0, 1, 0, 0),
            SystemRegister::new(3, 3, 0, 0, 1),
            SystemRegister::new(2, 0, 0, 4, 0),
            SystemRegister::new(3, 0, 0, 0, 0),
            SystemRegister::new(3, 0, 0, 8, 0),
        ] {
            assert_eq!(GuestIds::new(&ALL, GicVersion::V3).get(register), None);
        }
    }
}
