//! Which model-specific registers a guest has. Intel SDM vol. 4; AMD APM vol. 2, appendix A.
//!
//! Those that the CPU itself must have are named, and their values checked, for the vCPU to load; those that nothing but a
//! guest looks at are kept here. All others do not exist: #GP, as on hardware.

mod mtrr;

use super::cpuid::Vendor;
use hv_core::arch::x86_64::register::SystemRegister;
use mtrr::Mtrrs;

/// A register that lives elsewhere: in the vCPU, its local APIC or its clock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Register {
    /// One that the CPU keeps, and that depends on nothing else.
    Cpu(SystemRegister),
    /// 0x10: the time-stamp counter.
    Tsc,
    /// 0x1b: the base and the mode of the local APIC.
    ApicBase,
    /// 0x6e0.
    TscDeadline,
    /// 0x800 to 0x8ff: a register of the local APIC, by its offset in the APIC page divided by 16.
    X2Apic(u8),
    /// 0xc000_0080.
    Efer,
    /// 0x4b56_4d00: where the wall clock is to be written (Linux, Documentation/virt/kvm/x86/msr.rst).
    WallClock,
    /// 0x4b56_4d01: where the paravirtual clock is to be kept, bit 0 if it is.
    SystemTime,
}

/// What RDMSR comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Read {
    /// It reads this.
    Value(u64),
    /// It reads that register.
    Register(Register),
    /// There is no such register: #GP(0).
    Fault,
}

/// What WRMSR comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Write {
    /// It is done.
    Done,
    /// The value is one that this register can have, and is to be written to it.
    Register(Register, u64),
    /// There is no such register, or it cannot have this value: #GP(0).
    Fault,
}

/// `IA32_PAT` at reset (SDM vol. 3A, 12.12.4).
pub const PAT_AT_RESET: u64 = 0x0007_0406_0007_0406;
/// `IA32_APIC_BASE` at reset, without the bootstrap processor's bit 8.
pub const APIC_BASE_AT_RESET: u64 = 0xfee0_0800;
/// Bit 8 of `IA32_APIC_BASE`.
pub const BOOTSTRAP_PROCESSOR: u64 = 1 << 8;

/// The registers of one vCPU that are kept here.
#[derive(Clone, Debug)]
pub struct Msrs {
    vendor: Vendor,
    mtrrs: Mtrrs,
    machine_check_status: u64,
    misc_enable: u64,
    decode_configuration: u64,
}

impl Msrs {
    /// As after reset, with the memory types as firmware leaves them.
    #[must_use]
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            mtrrs: Mtrrs::default(),
            machine_check_status: 0,
            misc_enable: MISC_ENABLE_AT_RESET,
            decode_configuration: LFENCE_SERIALIZES,
        }
    }

    /// RDMSR.
    #[must_use]
    pub fn read(&self, index: u32) -> Read {
        if let Some(register) = register(index) {
            return Read::Register(register);
        }
        if let Some(value) = self.mtrrs.read(index) {
            return Read::Value(value);
        }
        match (index, self.vendor) {
            (P5_MC_ADDR | P5_MC_TYPE | MCG_CAP | DEBUGCTL, _) => Read::Value(0),
            (MCG_STATUS, _) => Read::Value(self.machine_check_status),
            (MISC_ENABLE, Vendor::Intel) => Read::Value(self.misc_enable),
            (PLATFORM_ID, Vendor::Intel) => Read::Value(0),
            (MICROCODE, Vendor::Intel) => Read::Value(1 << 32),
            (MICROCODE, Vendor::Amd) => Read::Value(0x100_0065),
            (DE_CFG, Vendor::Amd) => Read::Value(self.decode_configuration),
            (_, Vendor::Amd) if is_quiet(index) => Read::Value(0),
            _ => Read::Fault,
        }
    }

    /// WRMSR.
    pub fn write(&mut self, index: u32, value: u64) -> Write {
        if let Some(register) = register(index) {
            return if can_have(register, value) {
                Write::Register(register, value)
            } else {
                Write::Fault
            };
        }
        if let Some(written) = self.mtrrs.write(index, value) {
            return if written.is_ok() { Write::Done } else { Write::Fault };
        }
        let kept = match (index, self.vendor) {
            (MCG_STATUS, _) if value & !MCG_STATUS_BITS == 0 => {
                Some(&mut self.machine_check_status)
            }
            (MISC_ENABLE, Vendor::Intel) => Some(&mut self.misc_enable),
            (DE_CFG, Vendor::Amd) => Some(&mut self.decode_configuration),
            _ => None,
        };
        if let Some(kept) = kept {
            *kept = value;
            return Write::Done;
        }
        match (index, self.vendor) {
            (P5_MC_ADDR | P5_MC_TYPE | DEBUGCTL, _) if value == 0 => Write::Done,
            // Loading microcode is for the host to do.
            (MICROCODE, _) => Write::Done,
            (_, Vendor::Amd) if is_quiet(index) => Write::Done,
            _ => Write::Fault,
        }
    }
}

const P5_MC_ADDR: u32 = 0;
const P5_MC_TYPE: u32 = 1;
const PLATFORM_ID: u32 = 0x17;
const MICROCODE: u32 = 0x8b;
const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
/// RIPV, EIPV, MCIP.
const MCG_STATUS_BITS: u64 = 0b111;
const MISC_ENABLE: u32 = 0x1a0;
/// Fast strings; no branch trace store, no precise event sampling.
const MISC_ENABLE_AT_RESET: u64 = 1 | 1 << 11 | 1 << 12;
const DEBUGCTL: u32 = 0x1d9;
const DE_CFG: u32 = 0xc001_1029;
const LFENCE_SERIALIZES: u64 = 1 << 1;

/// Registers of AMD's that operating systems touch without asking whether they are there: they read zero and keep nothing.
/// `EventSelect` and `PerfCtr`, `SYSCFG`, `HWCR`, `NB_CFG`, `IntPending`, `MMIO_Cfg_Base`, `TOP_MEM2`, `DC_CFG`, `BU_CFG2`.
const fn is_quiet(index: u32) -> bool {
    matches!(
        index,
        0xc001_0000
            ..=0xc001_0007
                | 0xc001_0010
                | 0xc001_0015
                | 0xc001_001d
                | 0xc001_001f
                | 0xc001_0055
                | 0xc001_0058
                | 0xc001_1022
                | 0xc001_102a
    )
}

const fn register(index: u32) -> Option<Register> {
    Some(Register::Cpu(match index {
        0x10 => return Some(Register::Tsc),
        0x1b => return Some(Register::ApicBase),
        0x174 => SystemRegister::SysenterCs,
        0x175 => SystemRegister::SysenterEsp,
        0x176 => SystemRegister::SysenterEip,
        0x277 => SystemRegister::Pat,
        0x6e0 => return Some(Register::TscDeadline),
        0x800..=0x8ff => return Some(Register::X2Apic(index as u8)),
        0xc000_0080 => return Some(Register::Efer),
        0xc000_0081 => SystemRegister::Star,
        0xc000_0082 => SystemRegister::Lstar,
        0xc000_0083 => SystemRegister::Cstar,
        0xc000_0084 => SystemRegister::SyscallMask,
        0xc000_0100 => SystemRegister::FsBase,
        0xc000_0101 => SystemRegister::GsBase,
        0xc000_0102 => SystemRegister::KernelGsBase,
        0xc000_0103 => SystemRegister::TscAux,
        0x4b56_4d00 => return Some(Register::WallClock),
        0x4b56_4d01 => return Some(Register::SystemTime),
        _ => return None,
    }))
}

/// Whether a register can have this value. What depends on more than the value, the register's owner checks.
fn can_have(register: Register, value: u64) -> bool {
    /// SCE, LME, LMA, NXE, FFXSR.
    const EFER: u64 = 1 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 14;
    match register {
        Register::Cpu(register) => can_be(register, value),
        Register::Efer => value & !EFER == 0,
        Register::Tsc
        | Register::ApicBase
        | Register::TscDeadline
        | Register::X2Apic(_)
        | Register::WallClock
        | Register::SystemTime => true,
    }
}

fn can_be(register: SystemRegister, value: u64) -> bool {
    match register {
        SystemRegister::Pat => value.to_le_bytes().iter().all(|kind| matches!(kind, 0 | 1 | 4..=7)),
        SystemRegister::Lstar
        | SystemRegister::Cstar
        | SystemRegister::FsBase
        | SystemRegister::GsBase
        | SystemRegister::KernelGsBase
        | SystemRegister::SysenterEsp
        | SystemRegister::SysenterEip => is_canonical(value),
        // SyscallMask: bits 63:32 are reserved, and AMD's ignore them. TscAux: SDM vol. 4.
        SystemRegister::TscAux => value >> 32 == 0,
        SystemRegister::SysenterCs | SystemRegister::Star | SystemRegister::SyscallMask => true,
        // No MSRs.
        SystemRegister::Cr0
        | SystemRegister::Cr2
        | SystemRegister::Cr3
        | SystemRegister::Cr4
        | SystemRegister::Dr6
        | SystemRegister::Dr7
        | SystemRegister::Efer
        | SystemRegister::Xcr0 => false,
    }
}

/// With linear addresses of 48 bits: five levels of tables are not offered.
const fn is_canonical(address: u64) -> bool {
    let top = address.cast_signed() >> 47;
    top == 0 || top == -1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_exist_faults() {
        let mut msrs = Msrs::new(Vendor::Intel);
        // Feature control, performance counters, debug store, architectural capabilities, VMX, SVM.
        for index in
            [0x3a, 0xc1, 0x10a, 0x186, 0x38f, 0x480, 0x600, 0xc001_0114, 0xc001_0015, u32::MAX]
        {
            assert_eq!(msrs.read(index), Read::Fault, "{index:#x}");
            assert_eq!(msrs.write(index, 0), Write::Fault, "{index:#x}");
        }
    }

    #[test]
    fn registers_of_the_cpu_go_to_the_cpu() {
        let mut msrs = Msrs::new(Vendor::Amd);
        for (index, register) in [
            (0x10, Register::Tsc),
            (0x1b, Register::ApicBase),
            (0x80b, Register::X2Apic(0x0b)),
            (0x8ff, Register::X2Apic(0xff)),
            (0xc000_0080, Register::Efer),
            (0xc000_0102, Register::Cpu(SystemRegister::KernelGsBase)),
            (0x4b56_4d01, Register::SystemTime),
        ] {
            assert_eq!(msrs.read(index), Read::Register(register));
            assert_eq!(msrs.write(index, 1), Write::Register(register, 1));
        }
    }

    #[test]
    fn values_that_no_cpu_takes_fault() {
        let mut msrs = Msrs::new(Vendor::Intel);
        for (index, value) in [
            (0xc000_0080, 1 << 12),
            (0x277, 2),
            (0x277, 8 << 56),
            (0xc000_0082, 0x8000_0000_0000),
            (0xc000_0100, 0xfffe_8000_0000_0000),
            (0xc000_0103, 1 << 32),
            (0x17a, 8),
            (0x1d9, 1),
        ] {
            assert_eq!(msrs.write(index, value), Write::Fault, "{index:#x}");
        }
        let written = Write::Register(Register::Cpu(SystemRegister::Lstar), 0xffff_8000_0000_0000);
        assert_eq!(msrs.write(0xc000_0082, 0xffff_8000_0000_0000), written);
        let written = Write::Register(Register::Cpu(SystemRegister::Pat), PAT_AT_RESET);
        assert_eq!(msrs.write(0x277, PAT_AT_RESET), written);
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let mut msrs = Msrs::new(Vendor::Intel);
        assert_eq!(msrs.read(0x1a0), Read::Value(0x1801));
        assert_eq!(msrs.write(0x1a0, 0x1800), Write::Done);
        assert_eq!(msrs.read(0x1a0), Read::Value(0x1800));
        assert_eq!(msrs.write(0x17a, 4), Write::Done);
        assert_eq!(msrs.read(0x17a), Read::Value(4));
        assert_eq!(msrs.read(0x179), Read::Value(0), "no banks");
        assert_eq!(msrs.write(0x179, 0), Write::Fault, "read-only");
    }

    #[test]
    fn amd_has_what_linux_touches_unasked() {
        let mut msrs = Msrs::new(Vendor::Amd);
        for index in [0xc001_0004, 0xc001_0010, 0xc001_0015, 0xc001_001f, 0xc001_1022] {
            assert_eq!(msrs.write(index, 7), Write::Done);
            assert_eq!(msrs.read(index), Read::Value(0));
        }
        assert_eq!(msrs.read(0xc001_1029), Read::Value(2));
        assert_eq!(msrs.read(0x1a0), Read::Fault);
    }

    proptest! {
        #[test]
        fn any_access_has_an_answer(index in prop_oneof![0..0x900u32, any::<u32>()], value: u64) {
            for vendor in [Vendor::Intel, Vendor::Amd] {
                let mut msrs = Msrs::new(vendor);
                let before = msrs.read(index);
                if msrs.write(index, value) != Write::Fault {
                    prop_assert!(before != Read::Fault, "what can be written can be read");
                }
            }
        }
    }
}
