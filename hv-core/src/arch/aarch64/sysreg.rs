//! System registers by encoding, as traps report them. Arm ARM D13.2.37, ISS encoding of EC 0x18.

use core::fmt;

/// The encoding of a system register: Op0, Op1, CRn, CRm, Op2, in the places that an instruction syndrome has them, so
/// that a trap is decoded by one mask.
#[derive(Clone, Copy, Eq, PartialEq, Hash, PartialOrd, Ord)]
pub struct SystemRegister(u32);

/// Op0 21:20, Op2 19:17, Op1 16:14, CRn 13:10, CRm 4:1; the rest is the general register and the direction.
const FIELDS: u32 = 0x3f_fc1e;

impl SystemRegister {
    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    #[must_use]
    pub const fn new(op0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> Self {
        Self(
            (op0 & 3) << 20
                | (op2 & 7) << 17
                | (op1 & 7) << 14
                | (crn & 15) << 10
                | (crm & 15) << 1,
        )
    }

    /// The register that an instruction syndrome of EC 0x18 names.
    #[inline]
    #[must_use]
    pub const fn from_iss(iss: u64) -> Self {
        Self(iss as u32 & FIELDS)
    }

    /// Op0: 2 for debug registers, 3 for the others.
    #[inline]
    #[must_use]
    pub const fn op0(self) -> u32 {
        self.0 >> 20
    }

    /// Op1.
    #[must_use]
    pub const fn op1(self) -> u32 {
        self.0 >> 14 & 7
    }

    /// CRn.
    #[must_use]
    pub const fn crn(self) -> u32 {
        self.0 >> 10 & 15
    }

    /// CRm.
    #[inline]
    #[must_use]
    pub const fn crm(self) -> u32 {
        self.0 >> 1 & 15
    }

    /// Op2.
    #[inline]
    #[must_use]
    pub const fn op2(self) -> u32 {
        self.0 >> 17 & 7
    }

    /// Whether it is in the block of identification registers: op0 3, op1 0, CRn 0, CRm 1 to 7.
    #[inline]
    #[must_use]
    pub const fn is_identification(self) -> bool {
        const BLOCK: u32 = SystemRegister::new(3, 7, 15, 8, 0).0;
        self.0 & BLOCK == SystemRegister::new(3, 0, 0, 0, 0).0 && self.crm() != 0
    }
}

impl fmt::Display for SystemRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (op0, op1, op2) = (self.op0(), self.op1(), self.op2());
        write!(f, "s{op0}_{op1}_c{}_c{}_{op2}", self.crn(), self.crm())
    }
}

impl fmt::Debug for SystemRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iss_names_its_register() {
        // MRS X5, ID_AA64PFR0_EL1: op0 3, op1 0, CRn 0, CRm 4, op2 0, read.
        let iss = 3 << 20 | 5 << 5 | 4 << 1 | 1;
        assert_eq!(SystemRegister::from_iss(iss), SystemRegister::new(3, 0, 0, 4, 0));
        let sgi1r = SystemRegister::new(3, 0, 12, 11, 5);
        assert_eq!(sgi1r.to_string(), "s3_0_c12_c11_5");
    }
}
