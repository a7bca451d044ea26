//! What the `pc` machine needs of x86-64.

use super::Hardware;
pub(super) use hv_core::arch::x86_64::Vcpu as Cpu;
use hv_core::arch::x86_64::{clock, host_cpuid};
use hv_core::ram::GuestRam;
use vm_manager::personality::pc::cpuid::{ExtendedState, Leaf, TscRate};
use vm_manager::personality::pc::{Pc, PcPlatform};

/// The machine that guests see.
pub(super) type Board = Pc<Hardware>;

impl PcPlatform for Hardware {
    fn new_cpu(&self, index: u8, ram: &GuestRam) -> Option<Cpu> {
        Cpu::new(index, ram.translation(), ram.frames())
    }

    fn host_cpuid(&self, leaf: u32, subleaf: u32) -> Leaf {
        let [eax, ebx, ecx, edx] = host_cpuid(leaf, subleaf);
        Leaf { eax, ebx, ecx, edx }
    }

    fn tsc_hz(&self) -> u64 {
        clock::tsc_hz()
    }

    fn tsc_rate(&self) -> TscRate {
        const POWER: u32 = 0x8000_0007;
        const INVARIANT: u32 = 1 << 8;
        const UNDER_HYPERVISOR: u32 = 1 << 31;
        let [last, ..] = host_cpuid(0x8000_0000, 0);
        // An emulator seldom says so, but its TSC has nothing by which it could change its pace.
        if last >= POWER && host_cpuid(POWER, 0)[3] & INVARIANT != 0
            || host_cpuid(1, 0)[2] & UNDER_HYPERVISOR != 0
        {
            TscRate::Invariant
        } else {
            TscRate::Varying
        }
    }

    fn extended_state(&self) -> ExtendedState {
        const XSAVE: u32 = 1 << 26;
        if host_cpuid(1, 0)[2] & XSAVE != 0 {
            ExtendedState::Offered
        } else {
            ExtendedState::Hidden
        }
    }
}
