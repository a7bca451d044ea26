//! Basic exit reasons. Intel SDM vol. 3C, appendix C, table C-1.

macro_rules! reasons {
    ($($name:ident = $number:literal, $words:literal;)*) => {
        /// Why a guest exited: bits 15:0 of the exit reason.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "the manual's words are the names")]
        pub enum Reason {
            $($name = $number,)*
        }

        impl Reason {
            /// All that there are, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The reason with this number, if the manual has one.
            #[inline]
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
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

reasons! {
    Exception = 0, "exception or NMI";
    ExternalInterrupt = 1, "external interrupt";
    TripleFault = 2, "triple fault";
    Init = 3, "INIT signal";
    Startup = 4, "start-up IPI";
    IoSmi = 5, "I/O SMI";
    OtherSmi = 6, "other SMI";
    InterruptWindow = 7, "interrupt window";
    NmiWindow = 8, "NMI window";
    TaskSwitch = 9, "task switch";
    Cpuid = 10, "CPUID";
    Getsec = 11, "GETSEC";
    Hlt = 12, "HLT";
    Invd = 13, "INVD";
    Invlpg = 14, "INVLPG";
    Rdpmc = 15, "RDPMC";
    Rdtsc = 16, "RDTSC";
    Rsm = 17, "RSM";
    Vmcall = 18, "VMCALL";
    Vmclear = 19, "VMCLEAR";
    Vmlaunch = 20, "VMLAUNCH";
    Vmptrld = 21, "VMPTRLD";
    Vmptrst = 22, "VMPTRST";
    Vmread = 23, "VMREAD";
    Vmresume = 24, "VMRESUME";
    Vmwrite = 25, "VMWRITE";
    Vmxoff = 26, "VMXOFF";
    Vmxon = 27, "VMXON";
    ControlRegister = 28, "control-register access";
    MovDr = 29, "MOV DR";
    Io = 30, "I/O instruction";
    Rdmsr = 31, "RDMSR";
    Wrmsr = 32, "WRMSR";
    EntryGuestState = 33, "VM-entry failure: invalid guest state";
    EntryMsrLoading = 34, "VM-entry failure: MSR loading";
    Mwait = 36, "MWAIT";
    MonitorTrapFlag = 37, "monitor trap flag";
    Monitor = 39, "MONITOR";
    Pause = 40, "PAUSE";
    EntryMachineCheck = 41, "VM-entry failure: machine-check event";
    TprBelowThreshold = 43, "TPR below threshold";
    ApicAccess = 44, "APIC access";
    VirtualizedEoi = 45, "virtualized EOI";
    GdtrIdtr = 46, "access to GDTR or IDTR";
    LdtrTr = 47, "access to LDTR or TR";
    EptViolation = 48, "EPT violation";
    EptMisconfiguration = 49, "EPT misconfiguration";
    Invept = 50, "INVEPT";
    Rdtscp = 51, "RDTSCP";
    PreemptionTimer = 52, "VMX-preemption timer expired";
    Invvpid = 53, "INVVPID";
    Wbinvd = 54, "WBINVD or WBNOINVD";
    Xsetbv = 55, "XSETBV";
    ApicWrite = 56, "APIC write";
    Rdrand = 57, "RDRAND";
    Invpcid = 58, "INVPCID";
    Vmfunc = 59, "VMFUNC";
    Encls = 60, "ENCLS";
    Rdseed = 61, "RDSEED";
    PageModificationLogFull = 62, "page-modification log full";
    Xsaves = 63, "XSAVES";
    Xrstors = 64, "XRSTORS";
    Pconfig = 65, "PCONFIG";
    SubPagePermission = 66, "SPP-related event";
    Umwait = 67, "UMWAIT";
    Tpause = 68, "TPAUSE";
    Loadiwkey = 69, "LOADIWKEY";
    Enclv = 70, "ENCLV";
    EnqcmdPasid = 72, "ENQCMD PASID translation failure";
    EnqcmdsPasid = 73, "ENQCMDS PASID translation failure";
    BusLock = 74, "bus lock";
    InstructionTimeout = 75, "instruction timeout";
    Seamcall = 76, "SEAMCALL";
    Tdcall = 77, "TDCALL";
    Rdmsrlist = 78, "RDMSRLIST";
    Wrmsrlist = 79, "WRMSRLIST";
}

/// Bit 31 of the exit reason: the guest was not entered. The state in the VMCS is what it was before (SDM vol. 3C, 27.8).
pub const ENTRY_FAILURE: u32 = 1 << 31;

/// What an exit reason is called, for the operator.
#[must_use]
pub const fn name(reason: u32) -> &'static str {
    match Reason::from_number(reason as u16) {
        Some(reason) => reason.name(),
        None => "an exit reason that is not in the manual",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_table_c_1() {
        for (reason, number) in [
            (Reason::Vmcall, 18),
            (Reason::Wrmsr, 32),
            (Reason::EntryMachineCheck, 41),
            (Reason::EptViolation, 48),
            (Reason::Xsetbv, 55),
            (Reason::Xrstors, 64),
            (Reason::Wrmsrlist, 79),
        ] {
            assert_eq!(reason as u16, number);
        }
        let holes: Vec<u16> =
            (0..80).filter(|number| Reason::from_number(*number).is_none()).collect();
        assert_eq!(holes, [35, 38, 42, 71]);
    }

    #[test]
    fn every_reason_is_found_by_its_number() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(*reason as u16), Some(*reason));
        }
        assert_eq!(name(ENTRY_FAILURE | 33), "VM-entry failure: invalid guest state");
        assert_eq!(name(35), "an exit reason that is not in the manual");
    }
}
