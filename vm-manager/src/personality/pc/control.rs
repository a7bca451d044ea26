//! Which values control registers can have: what the CPU itself would check at a MOV, checked here, since the hypervisor sees
//! the access first. Intel SDM vol. 3A, 2.5; AMD APM vol. 2, 3.1.

use super::cpuid::Cpuid;
use hv_core::arch::x86_64::register::{cr0, cr4, efer};

/// The value is one that the register cannot have: #GP(0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Protection;

/// What of the CPU's state decides which values its registers can have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct State {
    pub(super) cr0: u64,
    pub(super) cr3: u64,
    pub(super) cr4: u64,
    pub(super) efer: u64,
    /// Whether it runs code of 64 bits.
    pub(super) code: Code,
}

/// How wide the code is that runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Code {
    /// CS.L is clear.
    #[default]
    Narrow,
    /// CS.L is set.
    Long,
}

/// What a VM's CPUs have of what can be switched on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    cr4: u64,
    efer: u64,
    xcr0: u64,
    /// Bits of a physical address that do not exist, those of CR3's flags left out.
    beyond_address: u64,
}

/// Bits of CR0 that exist.
const CR0: u64 = cr0::PE
    | cr0::MP
    | cr0::EM
    | cr0::TS
    | cr0::ET
    | cr0::NE
    | cr0::WP
    | cr0::AM
    | cr0::NW
    | cr0::CD
    | cr0::PG;
const UPPER_HALF: u64 = 0xffff_ffff << 32;
/// MOV to CR3 with PCIDs: the translations of the new one may stay (SDM vol. 3A, 4.10.4.1).
const CR3_NO_FLUSH: u64 = 1 << 63;
const CR3_PCID: u64 = 0xfff;
const FFXSR: u64 = 1 << 14;

impl Offered {
    /// What goes with the features in `cpuid`.
    pub(super) fn new(cpuid: &Cpuid) -> Self {
        let vcpu = super::cpuid::VcpuState { apic_id: 0, cr4: 0, xcr0: 0 };
        let leaf = |number| cpuid.answer(number, 0, &vcpu);
        let (one, seven, extended) = (leaf(1), leaf(7), leaf(0x8000_0001));
        let when = |word: u32, bit: u32, mask: u64| if word >> bit & 1 != 0 { mask } else { 0 };
        // PCE: RDPMC is refused in any case.
        let always = 1 << 8;
        let cr4 = always
            | when(one.edx, 1, 0b11) // VME, PVI
            | when(one.edx, 4, 1 << 2) // TSD
            | when(one.edx, 2, 1 << 3) // DE
            | when(one.edx, 3, cr4::PSE)
            | when(one.edx, 6, cr4::PAE)
            | when(one.edx, 7, cr4::MCE)
            | when(one.edx, 13, cr4::PGE)
            | when(one.edx, 24, cr4::OSFXSR)
            | when(one.edx, 25, cr4::OSXMMEXCPT)
            | when(seven.ecx, 2, 1 << 11) // UMIP
            | when(seven.ebx, 0, 1 << 16) // FSGSBASE
            | when(one.ecx, 17, cr4::PCIDE)
            | when(one.ecx, 26, cr4::OSXSAVE)
            | when(seven.ebx, 7, cr4::SMEP)
            | when(seven.ebx, 20, cr4::SMAP);
        let efer = when(extended.edx, 11, efer::SCE)
            | when(extended.edx, 29, efer::LME | efer::LMA)
            | when(extended.edx, 20, efer::NXE)
            | when(extended.edx, 25, FFXSR);
        let bits = (leaf(0x8000_0008).eax & 0xff).clamp(36, 52);
        let beyond_address = !((1 << bits) - 1);
        Self { cr4, efer, xcr0: cpuid.xcr0(), beyond_address }
    }

    /// What CR0 becomes by MOV of `value`.
    pub(super) fn cr0(&self, value: u64, state: &State) -> Result<u64, Protection> {
        let new = value & CR0 | cr0::ET;
        let is_set = |bit| new & bit != 0;
        let was_paging = state.cr0 & cr0::PG != 0;
        let is_bad = value & UPPER_HALF != 0
            || is_set(cr0::PG) && !is_set(cr0::PE)
            || is_set(cr0::NW) && !is_set(cr0::CD)
            || is_set(cr0::PG) && !was_paging && !can_page(state)
            || !is_set(cr0::PG)
                && was_paging
                && (state.code == Code::Long || state.cr4 & cr4::PCIDE != 0);
        if is_bad { Err(Protection) } else { Ok(new) }
    }

    /// What CR3 becomes by MOV of `value`.
    pub(super) fn cr3(&self, value: u64, state: &State) -> Result<u64, Protection> {
        if state.efer & efer::LMA == 0 {
            return Ok(value & !UPPER_HALF);
        }
        let value = if state.cr4 & cr4::PCIDE != 0 { value & !CR3_NO_FLUSH } else { value };
        if value & self.beyond_address != 0 { Err(Protection) } else { Ok(value) }
    }

    /// What CR4 becomes by MOV of `value`.
    pub(super) fn cr4(&self, value: u64, state: &State) -> Result<u64, Protection> {
        let (set, cleared) = (value & !state.cr4, state.cr4 & !value);
        let is_long = state.efer & efer::LMA != 0;
        let is_bad = value & !self.cr4 != 0
            || cleared & cr4::PAE != 0 && is_long
            || set & cr4::PCIDE != 0 && (!is_long || state.cr3 & CR3_PCID != 0);
        if is_bad { Err(Protection) } else { Ok(value) }
    }

    /// What EFER becomes by WRMSR of `value`. LMA follows from the others, whatever is written.
    pub(super) fn efer(&self, value: u64, state: &State) -> Result<u64, Protection> {
        let is_paging = state.cr0 & cr0::PG != 0;
        if value & !self.efer != 0 || is_paging && (value ^ state.efer) & efer::LME != 0 {
            return Err(Protection);
        }
        Ok(value & !efer::LMA | state.efer & efer::LMA)
    }

    /// What XCR0 becomes by XSETBV of `value` (SDM vol. 1, 13.3).
    pub(super) fn xcr0(&self, index: u32, value: u64) -> Result<u64, Protection> {
        const X87: u64 = 1;
        const SSE: u64 = 1 << 1;
        const AVX: u64 = 1 << 2;
        const AVX512: u64 = 0b111 << 5;
        let is_bad = index != 0
            || value & !self.xcr0 != 0
            || value & X87 == 0
            || value & AVX != 0 && value & SSE == 0
            || value & AVX512 != 0 && value & (AVX512 | AVX) != AVX512 | AVX;
        if is_bad { Err(Protection) } else { Ok(value) }
    }
}

/// Whether paging can be switched on: with EFER.LME for long mode, which has tables of its own and no 64-bit code before.
const fn can_page(state: &State) -> bool {
    state.efer & efer::LME == 0 || state.cr4 & cr4::PAE != 0 && matches!(state.code, Code::Narrow)
}

/// What CR0 becomes by LMSW: the four low bits, of which PE can only be set (SDM vol. 2A, LMSW).
pub(super) const fn load_status_word(word: u16, cr0: u64) -> u64 {
    cr0 & !0b1110 | word as u64 & 0b1111
}

#[cfg(test)]
mod tests {
    use super::super::testing::cpuid;
    use super::*;

    fn offered() -> Offered {
        Offered::new(&cpuid())
    }

    fn long() -> State {
        State {
            cr0: cr0::PE | cr0::PG | cr0::ET,
            cr3: 0x1000,
            cr4: cr4::PAE,
            efer: efer::LME | efer::LMA,
            code: Code::Long,
        }
    }

    #[test]
    fn linux_goes_to_long_mode() {
        let offered = offered();
        let mut state = State { cr0: cr0::ET, ..State::default() };
        state.cr0 = offered.cr0(state.cr0 | cr0::PE, &state).unwrap();
        state.cr4 = offered.cr4(cr4::PAE, &state).unwrap();
        state.cr3 = offered.cr3(0x1000, &state).unwrap();
        state.efer = offered.efer(efer::LME | efer::NXE | efer::SCE, &state).unwrap();
        state.cr0 = offered.cr0(state.cr0 | cr0::PG, &state).unwrap();
        assert_eq!(state.cr0, cr0::PE | cr0::ET | cr0::PG);
    }

    #[test]
    fn cr0_refuses_what_the_manual_does() {
        let (offered, flat) = (offered(), State { cr0: cr0::PE, ..State::default() });
        for (value, state) in [
            (cr0::PG, flat),
            (cr0::NW, flat),
            (cr0::PE | 1 << 32, flat),
            // Long mode without PAE.
            (cr0::PE | cr0::PG, State { efer: efer::LME, ..flat }),
            // Paging switched off by 64-bit code.
            (cr0::PE, long()),
            (cr0::PE, State { code: Code::Narrow, cr4: cr4::PAE | cr4::PCIDE, ..long() }),
        ] {
            assert_eq!(offered.cr0(value, &state), Err(Protection), "{value:#x} {state:x?}");
        }
        assert_eq!(offered.cr0(0x1ffa_ffc0, &flat), Ok(cr0::ET), "reserved bits stay clear");
        assert_eq!(
            offered.cr0(cr0::PE, &State { code: Code::Narrow, ..long() }),
            Ok(cr0::PE | cr0::ET)
        );
    }

    #[test]
    fn cr4_has_only_what_cpuid_says() {
        let (offered, state) = (offered(), long());
        for bit in
            [cr4::VMXE, cr4::LA57, 1 << 14, 1 << 15, 1 << 19, 1 << 22, 1 << 23, 1 << 32, 1 << 63]
        {
            assert_eq!(offered.cr4(state.cr4 | bit, &state), Err(Protection), "{bit:#x}");
        }
        assert_eq!(offered.cr4(0, &state), Err(Protection), "long mode needs PAE");
        assert_eq!(offered.cr4(cr4::PAE | cr4::PGE, &state), Ok(cr4::PAE | cr4::PGE));
        let pcids = cr4::PAE | cr4::PCIDE;
        assert_eq!(offered.cr4(pcids, &state), Ok(pcids));
        assert_eq!(offered.cr4(pcids, &State { cr3: 0x1001, ..state }), Err(Protection));
        assert_eq!(offered.cr4(pcids, &State { efer: 0, ..state }), Err(Protection));
    }

    #[test]
    fn cr3_keeps_to_the_width_of_addresses() {
        let (offered, state) = (offered(), long());
        assert_eq!(offered.cr3(1 << 51, &state), Err(Protection));
        assert_eq!(offered.cr3(1 << 63 | 0x2000, &state), Err(Protection));
        let pcids = State { cr4: cr4::PAE | cr4::PCIDE, ..state };
        assert_eq!(offered.cr3(1 << 63 | 0x2005, &pcids), Ok(0x2005));
    }

    #[test]
    fn efer_does_not_change_its_mode_under_paging() {
        let (offered, state) = (offered(), long());
        assert_eq!(offered.efer(efer::NXE, &state), Err(Protection));
        assert_eq!(offered.efer(efer::SVME | efer::LME, &state), Err(Protection));
        assert_eq!(
            offered.efer(efer::LME | efer::SCE, &state),
            Ok(efer::LME | efer::LMA | efer::SCE)
        );
        assert_eq!(offered.efer(efer::LMA, &State::default()), Ok(0));
    }

    #[test]
    fn xcr0_has_what_belongs_together() {
        let offered = offered();
        for (index, value) in [(1, 1), (0, 0), (0, 2), (0, 5), (0, 0x27), (0, 1 << 9), (0, 1 << 63)]
        {
            assert_eq!(offered.xcr0(index, value), Err(Protection), "{value:#x}");
        }
        assert_eq!((offered.xcr0(0, 1), offered.xcr0(0, 7)), (Ok(1), Ok(7)));
    }

    #[test]
    fn lmsw_sets_protected_mode_and_never_clears_it() {
        assert_eq!(load_status_word(0, cr0::PE | cr0::TS | cr0::PG), cr0::PE | cr0::PG);
        assert_eq!(load_status_word(0xffff, 0), 0xf);
    }
}
