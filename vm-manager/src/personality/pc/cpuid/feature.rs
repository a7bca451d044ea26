//! Which features are offered: those that are virtualized, in the order of the manuals.
//!
//! Hidden are those whose state nobody saves, whose MSRs nobody answers for, or that are the host's own affair: debug store,
//! performance counters, power and thermal management, virtualization itself, SGX, TSX, AMX, CET, resource control. So are the
//! speculation controls: `IA32_SPEC_CTRL` is not switched with the guest.

use super::{ExtendedState, Leaf, Profile, TscRate, Vendor};

const fn bits<const N: usize>(numbers: [u32; N]) -> u32 {
    let (mut mask, mut index) = (0, 0);
    while index < N {
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        {
            mask |= 1 << numbers[index];
        }
        index += 1;
    }
    mask
}

/// Leaf 1, ECX.
pub(super) const XSAVE: u32 = 1 << 26;
pub(super) const OSXSAVE: u32 = 1 << 27;
/// Leaf 6, EAX: ARAT.
pub(super) const APIC_TIMER_ALWAYS_RUNS: u32 = 1 << 2;
/// Leaf 0xd.1, EAX: XSAVEOPT, XSAVEC, XGETBV with ECX 1. Not XSAVES, which has supervisor state.
pub(super) const XSAVE_VARIANTS: u32 = 0b111;
/// Leaf 0x4000_0001, EAX: the delay at port 0x80 is not needed.
pub(super) const NO_IO_DELAY: u32 = 1 << 1;
/// The paravirtual clock at MSRs 0x4b56_4d00 and 0x4b56_4d01.
pub(super) const CLOCK: u32 = 1 << 3;
/// It never goes back, not even between vCPUs.
pub(super) const CLOCK_IS_STABLE: u32 = 1 << 24;
/// Leaf 0x8000_0007, EDX.
pub(super) const INVARIANT_TSC: u32 = 1 << 8;

/// The part of an XSAVE area that is always there, in bytes: x87, SSE and the header.
pub(super) const XSAVE_LEGACY_BYTES: u32 = 576;

/// SSE3, PCLMULQDQ, SSSE3, CMPXCHG16B, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND.
const ONE_ECX: u32 = bits([0, 1, 9, 13, 17, 19, 20, 22, 23, 25, 30]);
/// FMA, XSAVE, AVX, F16C.
const ONE_ECX_EXTENDED: u32 = bits([12, 26, 28, 29]);
/// x2APIC, TSC deadline and the hypervisor bit are virtual, whatever the host has.
const ONE_ECX_VIRTUAL: u32 = bits([21, 24, 31]);
/// FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, SEP, PGE, MCA, CMOV, PAT, PSE-36, CLFLUSH, MMX, FXSR, SSE, SSE2.
const ONE_EDX: u32 = bits([0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26]);
/// APIC, MTRR.
const ONE_EDX_VIRTUAL: u32 = bits([9, 12]);
/// Several identifiers in the package.
const SEVERAL: u32 = 1 << 28;

/// FSGSBASE, BMI1, SMEP, BMI2, ERMS, INVPCID, RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA.
const SEVEN_EBX: u32 = bits([0, 3, 7, 8, 9, 10, 18, 19, 20, 23, 24, 29]);
const AVX2: u32 = 1 << 5;
/// AVX-512 F, DQ, IFMA, CD, BW, VL.
const SEVEN_EBX_AVX512: u32 = bits([16, 17, 21, 28, 30, 31]);
/// UMIP, GFNI, RDPID.
const SEVEN_ECX: u32 = bits([2, 8, 22]);
/// VAES, VPCLMULQDQ.
const SEVEN_ECX_EXTENDED: u32 = bits([9, 10]);
/// AVX-512 VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ.
const SEVEN_ECX_AVX512: u32 = bits([1, 6, 11, 12, 14]);
/// Fast short REP MOV.
const SEVEN_EDX: u32 = bits([4]);

/// LAHF in 64-bit mode, ABM, SSE4A, misaligned SSE, PREFETCHW.
const EXTENDED_ECX: u32 = bits([0, 5, 6, 7, 8]);
/// Several cores, AMD.
const LEGACY_CORES: u32 = 1 << 1;
/// SYSCALL, NX, MMX extensions, FXSR, pages of 1 GiB, RDTSCP, long mode.
const EXTENDED_EDX: u32 = bits([11, 20, 22, 25, 26, 27, 29]);
/// AMD repeats leaf 1 here.
const REPEATED_EDX: u32 = bits([0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 16, 17, 23, 24]);
/// CLZERO.
const EIGHT_EBX: u32 = bits([0]);

/// x87, SSE, AVX.
const XCR0_BASE: u32 = 0b111;
/// Masks, upper halves, upper registers: only together (SDM vol. 1, 13.3).
const XCR0_AVX512: u32 = 0b1110_0000;

/// What is offered, by leaf and register.
pub(super) struct Offer {
    pub(super) vendor: Vendor,
    pub(super) one_ecx: u32,
    pub(super) one_edx: u32,
    pub(super) seven_ebx: u32,
    pub(super) seven_ecx: u32,
    pub(super) seven_edx: u32,
    pub(super) extended_ecx: u32,
    pub(super) extended_edx: u32,
    pub(super) eight_ebx: u32,
    /// The bits of XCR0; 0 without XSAVE.
    pub(super) xcr0: u32,
}

impl Offer {
    pub(super) fn new(host: &impl Fn(u32, u32) -> Leaf, vendor: Vendor, profile: &Profile) -> Self {
        let (one, seven, extended) = (host(1, 0), host(7, 0), host(0x8000_0001, 0));
        let has_xsave = one.ecx & XSAVE != 0 && profile.extended_state == ExtendedState::Offered;
        let state = if has_xsave { host(0xd, 0).eax } else { 0 };
        let has_avx512 = state & XCR0_AVX512 == XCR0_AVX512;
        let xcr0 = state & XCR0_BASE | if has_avx512 { XCR0_AVX512 } else { 0 };
        let when = |condition: bool, mask: u32| if condition { mask } else { 0 };
        let has_avx = xcr0 & XCR0_BASE == XCR0_BASE;
        let several = profile.vcpus > 1;
        let is_amd = vendor == Vendor::Amd;
        let virtual_ecx = match profile.tsc_rate {
            TscRate::Invariant => ONE_ECX_VIRTUAL,
            // A deadline in ticks of a clock that changes its pace is none.
            TscRate::Varying => ONE_ECX_VIRTUAL & !(1 << 24),
        };
        let extended_state = match (has_xsave, has_avx) {
            (true, true) => ONE_ECX_EXTENDED,
            (true, false) => XSAVE,
            (false, _) => 0,
        };
        let one_edx = one.edx & ONE_EDX | ONE_EDX_VIRTUAL | when(several, SEVERAL);
        Self {
            vendor,
            one_ecx: one.ecx & (ONE_ECX | extended_state) | virtual_ecx,
            one_edx,
            seven_ebx: seven.ebx
                & (SEVEN_EBX | when(has_avx, AVX2) | when(has_avx512, SEVEN_EBX_AVX512)),
            seven_ecx: seven.ecx
                & (SEVEN_ECX
                    | when(has_avx, SEVEN_ECX_EXTENDED)
                    | when(has_avx512, SEVEN_ECX_AVX512)),
            seven_edx: seven.edx & SEVEN_EDX,
            extended_ecx: extended.ecx & EXTENDED_ECX | when(is_amd && several, LEGACY_CORES),
            extended_edx: extended.edx & EXTENDED_EDX
                | when(is_amd, one_edx & (REPEATED_EDX | ONE_EDX_VIRTUAL)),
            eight_ebx: when(is_amd, host(0x8000_0008, 0).ebx & EIGHT_EBX),
            xcr0,
        }
    }
}
