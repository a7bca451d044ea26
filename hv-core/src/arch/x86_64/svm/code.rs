//! Intercept exit codes. AMD APM vol. 2, appendix C, table C-1.

/// Why a guest exited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Code {
    /// A read of this control register.
    ControlRead(u8),
    /// A write of this control register.
    ControlWrite(u8),
    /// A read of this debug register.
    DebugRead(u8),
    /// A write of this debug register.
    DebugWrite(u8),
    /// The exception with this vector.
    Exception(u8),
    /// A trap behind a write of this control register; SEV-ES only.
    ControlWriteTrap(u8),
    /// One of the others.
    Other(Named),
}

macro_rules! codes {
    ($($name:ident = $number:literal, $words:literal;)*) => {
        /// Exit codes that are not one of many alike.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(u32)]
        #[expect(missing_docs, reason = "the manual's words are the names")]
        pub enum Named {
            $($name = $number,)*
        }

        impl Named {
            /// All that there are, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code with this number, if the manual has one.
            #[inline]
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// It, in the manual's words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }
        }
    };
}

codes! {
    Interrupt = 0x60, "physical interrupt";
    Nmi = 0x61, "physical NMI";
    Smi = 0x62, "physical SMI";
    Init = 0x63, "physical INIT";
    VirtualInterrupt = 0x64, "virtual interrupt";
    Cr0Selective = 0x65, "selective write of CR0";
    IdtrRead = 0x66, "SIDT";
    GdtrRead = 0x67, "SGDT";
    LdtrRead = 0x68, "SLDT";
    TrRead = 0x69, "STR";
    IdtrWrite = 0x6a, "LIDT";
    GdtrWrite = 0x6b, "LGDT";
    LdtrWrite = 0x6c, "LLDT";
    TrWrite = 0x6d, "LTR";
    Rdtsc = 0x6e, "RDTSC";
    Rdpmc = 0x6f, "RDPMC";
    Pushf = 0x70, "PUSHF";
    Popf = 0x71, "POPF";
    Cpuid = 0x72, "CPUID";
    Rsm = 0x73, "RSM";
    Iret = 0x74, "IRET";
    SoftwareInterrupt = 0x75, "INT n";
    Invd = 0x76, "INVD";
    Pause = 0x77, "PAUSE";
    Hlt = 0x78, "HLT";
    Invlpg = 0x79, "INVLPG";
    Invlpga = 0x7a, "INVLPGA";
    Io = 0x7b, "I/O instruction";
    Msr = 0x7c, "RDMSR or WRMSR";
    TaskSwitch = 0x7d, "task switch";
    FerrFreeze = 0x7e, "FERR freeze";
    Shutdown = 0x7f, "shutdown";
    Vmrun = 0x80, "VMRUN";
    Vmmcall = 0x81, "VMMCALL";
    Vmload = 0x82, "VMLOAD";
    Vmsave = 0x83, "VMSAVE";
    Stgi = 0x84, "STGI";
    Clgi = 0x85, "CLGI";
    Skinit = 0x86, "SKINIT";
    Rdtscp = 0x87, "RDTSCP";
    Icebp = 0x88, "ICEBP";
    Wbinvd = 0x89, "WBINVD or WBNOINVD";
    Monitor = 0x8a, "MONITOR or MONITORX";
    Mwait = 0x8b, "MWAIT or MWAITX";
    MwaitConditional = 0x8c, "MWAIT with the monitor armed";
    Xsetbv = 0x8d, "XSETBV";
    Rdpru = 0x8e, "RDPRU";
    EferWriteTrap = 0x8f, "write of EFER";
    Invlpgb = 0xa0, "INVLPGB";
    InvlpgbIllegal = 0xa1, "illegal INVLPGB";
    Invpcid = 0xa2, "INVPCID";
    Mcommit = 0xa3, "MCOMMIT";
    Tlbsync = 0xa4, "TLBSYNC";
    BusLock = 0xa5, "bus lock";
    IdleHlt = 0xa6, "HLT without a virtual interrupt pending";
    NestedPageFault = 0x400, "nested page fault";
    AvicIncompleteIpi = 0x401, "AVIC: IPI not delivered";
    AvicNoAcceleration = 0x402, "AVIC: access not accelerated";
    Vmgexit = 0x403, "VMGEXIT";
    PageModificationLogFull = 0x407, "page-modification log full";
    IdleRequired = 0xffff_fffd, "no idle core";
    Busy = 0xffff_fffe, "busy VMSA";
    Invalid = 0xffff_ffff, "invalid guest state in the VMCB";
}

impl Code {
    /// The code in `EXITCODE`, if the manual has one.
    ///
    /// Only the low 32 bits count: the codes that are negative in the manual have zeroes above on QEMU 7.2, and ones on
    /// hardware.
    #[inline]
    #[must_use]
    pub const fn from_exit_code(exit_code: u64) -> Option<Self> {
        let code = exit_code as u32;
        let number = code as u8;
        Some(match code {
            0x00..=0x0f => Self::ControlRead(number),
            0x10..=0x1f => Self::ControlWrite(number & 0xf),
            0x20..=0x2f => Self::DebugRead(number & 0xf),
            0x30..=0x3f => Self::DebugWrite(number & 0xf),
            0x40..=0x5f => Self::Exception(number & 0x1f),
            0x90..=0x9f => Self::ControlWriteTrap(number & 0xf),
            _ => match Named::from_number(code) {
                Some(named) => Self::Other(named),
                None => return None,
            },
        })
    }

    /// What it is called, for the operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlRead(_) => "read of a control register",
            Self::ControlWrite(_) | Self::ControlWriteTrap(_) => "write of a control register",
            Self::DebugRead(_) => "read of a debug register",
            Self::DebugWrite(_) => "write of a debug register",
            Self::Exception(_) => "exception",
            Self::Other(named) => named.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_table_c_1() {
        for (number, code) in [
            (0x00, Code::ControlRead(0)),
            (0x14, Code::ControlWrite(4)),
            (0x27, Code::DebugRead(7)),
            (0x36, Code::DebugWrite(6)),
            (0x4e, Code::Exception(14)),
            (0x94, Code::ControlWriteTrap(4)),
            (0x72, Code::Other(Named::Cpuid)),
            (0x7b, Code::Other(Named::Io)),
            (0x81, Code::Other(Named::Vmmcall)),
            (0x8d, Code::Other(Named::Xsetbv)),
            (0x400, Code::Other(Named::NestedPageFault)),
        ] {
            assert_eq!(Code::from_exit_code(number), Some(code));
        }
        let holes: Vec<u64> =
            (0..0x408).filter(|code| Code::from_exit_code(*code).is_none()).collect();
        let expected: Vec<u64> = (0xa7..0x400).chain(0x404..0x407).collect();
        assert_eq!(holes, expected);
    }

    #[test]
    fn an_invalid_vmcb_is_known_by_32_bits() {
        let invalid = Some(Code::Other(Named::Invalid));
        assert_eq!(Code::from_exit_code(u64::MAX), invalid);
        assert_eq!(Code::from_exit_code(0xffff_ffff), invalid);
    }

    #[test]
    fn every_named_code_is_found_by_its_number() {
        for named in Named::ALL {
            assert_eq!(Code::from_exit_code(*named as u64), Some(Code::Other(*named)));
        }
    }
}
