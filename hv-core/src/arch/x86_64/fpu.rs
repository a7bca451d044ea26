//! x87, SSE, AVX and what else XSAVE keeps of a guest. Intel SDM vol. 1, chapter 13; AMD APM vol. 2, 11.5.
//!
//! The hypervisor itself uses none of it, so it changes hands only with the vCPU. A guest may write XCR0 without an exit (QEMU
//! 7.2 does not intercept XSETBV), so everything that the host's XCR0 can have is kept, whatever the guest has switched on.

// UNSAFETY: XSAVE and its neighbours are given an address.
#![expect(unsafe_code)]

use super::insn as host_insn;
use super::insn::virt as insn;
use crate::memory::{Frames, Zeroed};
use crate::paging::PAGE_SIZE;
use spin::Once;

/// How the host keeps this state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Method {
    /// FXSAVE: x87 and SSE.
    Fxsave,
    /// XSAVE of these components.
    Xsave(u64),
}

/// How, and how many bytes it takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Layout {
    method: Method,
    bytes: u64,
}

/// CPUID.1:ECX.XSAVE.
const XSAVE: u32 = 1 << 26;
/// Bytes that FXSAVE writes.
const LEGACY_BYTES: u64 = 512;
/// x87 state is always in XCR0.
const X87: u64 = 1;
const MXCSR_AT: u64 = 24;
const MXCSR_RESET: u32 = 0x1f80;
const CONTROL_WORD_RESET: u16 = 0x37f;

impl Layout {
    /// By CPUID: leaf 0xd has the components in EDX:EAX, and the length of an area with all of them in ECX.
    fn new(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> Self {
        let [_, _, ecx, _] = cpuid(1, 0);
        let [max, ..] = cpuid(0, 0);
        if ecx & XSAVE == 0 || max < 0xd {
            return Self { method: Method::Fxsave, bytes: LEGACY_BYTES };
        }
        let [low, _, bytes, high] = cpuid(0xd, 0);
        let components = u64::from(high) << 32 | u64::from(low) | X87;
        Self { method: Method::Xsave(components), bytes: u64::from(bytes).max(LEGACY_BYTES + 64) }
    }

    fn host() -> Self {
        static HOST: Once<Layout> = Once::new();
        *HOST.call_once(|| Self::new(host_insn::cpuid))
    }
}

/// A guest's share of it.
#[derive(Debug)]
pub(super) struct ExtendedState {
    layout: Layout,
    area: Frames<Zeroed>,
    /// XCR0, while it is not loaded.
    xcr0: u64,
}

impl ExtendedState {
    /// As after FINIT; `None` if there is no memory.
    pub(super) fn new() -> Option<Self> {
        let layout = Layout::host();
        let area = Frames::run(layout.bytes.div_ceil(PAGE_SIZE) as usize)?.zero();
        let mut state = Self { layout, area, xcr0: X87 };
        state.reset();
        Some(state)
    }

    /// Goes to the state after FINIT, registers empty. It is not loaded.
    pub(super) fn reset(&mut self) {
        self.xcr0 = X87;
        self.area.zero_part(0, self.area.len());
        // XSTATE_BV is zero: every component is as after a reset, but for MXCSR, which is always taken from here, and all
        // of it where there is no XSAVE.
        let (word, mxcsr) = (CONTROL_WORD_RESET.to_le_bytes(), MXCSR_RESET.to_le_bytes());
        // SAFETY: within our own frames.
        unsafe { crate::memory::copy_to(self.area.addr(), &word) };
        // SAFETY: within our own frames.
        unsafe { crate::memory::copy_to(self.area.addr() + MXCSR_AT, &mxcsr) };
    }

    /// Puts it into this CPU.
    pub(super) fn load(&self) {
        let area = self.area.addr();
        match self.layout.method {
            // SAFETY: the area is ours, a page at least, and was saved there or made by `reset`.
            Method::Fxsave => unsafe { insn::fxrstor(area) },
            Method::Xsave(all) => {
                insn::xsetbv(all);
                // SAFETY: as above; it is as long as all components need.
                unsafe { insn::xrstor(area) };
                insn::xsetbv(self.xcr0);
            }
        }
    }

    /// Takes it out of this CPU.
    pub(super) fn put(&mut self) {
        let area = self.area.addr();
        match self.layout.method {
            // SAFETY: the area is ours, a page at least.
            Method::Fxsave => unsafe { insn::fxsave(area) },
            Method::Xsave(all) => {
                self.xcr0 = insn::xgetbv();
                insn::xsetbv(all);
                // SAFETY: the area is ours, and as long as all components need.
                unsafe { insn::xsave(area) };
            }
        }
    }

    /// The guest's XCR0. It is loaded.
    pub(super) fn xcr0(&self) -> u64 {
        match self.layout.method {
            Method::Fxsave => X87,
            Method::Xsave(_) => insn::xgetbv(),
        }
    }

    /// Sets it; what the host does not have is left out. It is loaded.
    pub(super) fn set_xcr0(&mut self, value: u64) {
        if let Method::Xsave(all) = self.layout.method {
            insn::xsetbv(value & all | X87);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::pool;

    #[test]
    fn the_area_is_as_long_as_all_components_of_the_host_need() {
        let haswell = |leaf, _| match leaf {
            0 => [0xd, 0, 0, 0],
            1 => [0, 0, XSAVE, 0],
            _ => [7, 576, 832, 0],
        };
        assert_eq!(Layout::new(haswell), Layout { method: Method::Xsave(7), bytes: 832 });
        let old = Layout { method: Method::Fxsave, bytes: 512 };
        assert_eq!(Layout::new(|leaf, _| if leaf == 0 { [0xd, 0, 0, 0] } else { [0; 4] }), old);
    }

    #[test]
    fn a_fresh_state_masks_all_floating_point_exceptions() {
        let _turn = pool();
        let state = ExtendedState::new().unwrap();
        let mut bytes = [0; 28];
        // SAFETY: the frames are the state's.
        unsafe { crate::memory::copy_from(state.area.addr(), &mut bytes) };
        assert_eq!((bytes[0], bytes[1]), (0x7f, 0x03));
        assert_eq!((bytes[24], bytes[25]), (0x80, 0x1f));
    }
}
