//! System registers by encoding, as traps report them. Arm ARM D13.2.37, ISS encoding of EC 0x18.

use core::fmt;

/// The encoding of a system register: Op0, Op1, CRn, CRm, Op2.
#[derive(Clone, Copy, Eq, PartialEq, Hash, PartialOrd, Ord)]
pub struct SystemRegister(u16);

impl SystemRegister {
    /// The register `S<op0>_<op1>_C<crn>_C<crm>_<op2>`.
    #[must_use]
    pub const fn new(op0: u16, op1: u16, crn: u16, crm: u16, op2: u16) -> Self {
        Self((op0 & 3) << 14 | (op1 & 7) << 11 | (crn & 15) << 7 | (crm & 15) << 3 | (op2 & 7))
    }

    /// The register that an instruction syndrome of EC 0x18 names.
    #[must_use]
    pub const fn from_iss(iss: u64) -> Self {
        let (op0, op2, op1) = (iss >> 20 & 3, iss >> 17 & 7, iss >> 14 & 7);
        let (crn, crm) = (iss >> 10 & 15, iss >> 1 & 15);
        Self::new(op0 as u16, op1 as u16, crn as u16, crm as u16, op2 as u16)
    }

    /// Op0: 2 for debug registers, 3 for the others.
    #[must_use]
    pub const fn op0(self) -> u16 {
        self.0 >> 14
    }

    /// Op1.
    #[must_use]
    pub const fn op1(self) -> u16 {
        self.0 >> 11 & 7
    }

    /// CRn.
    #[must_use]
    pub const fn crn(self) -> u16 {
        self.0 >> 7 & 15
    }

    /// CRm.
    #[must_use]
    pub const fn crm(self) -> u16 {
        self.0 >> 3 & 15
    }

    /// Op2.
    #[must_use]
    pub const fn op2(self) -> u16 {
        self.0 & 7
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
