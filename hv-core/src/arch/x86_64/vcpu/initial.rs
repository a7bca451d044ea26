//! The state in which a vCPU starts: after power-on (Intel SDM vol. 3A, table 9-1; AMD APM vol. 2, table 14-1), changed to
//! what a loader's protocol says.

use super::super::register::{Segment, cr0, cr4, efer, flags};
use super::super::start::Start;

/// Registers as they are at the first instruction. Those that are not here are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::arch::x86_64) struct Initial {
    /// ES, CS, SS, DS, FS, GS, LDTR, TR: by their numbers.
    pub(in crate::arch::x86_64) segments: [Segment; 8],
    /// Base and limit of GDTR.
    pub(in crate::arch::x86_64) gdtr: (u64, u32),
    /// Base and limit of IDTR.
    pub(in crate::arch::x86_64) idtr: (u64, u32),
    pub(in crate::arch::x86_64) cr0: u64,
    pub(in crate::arch::x86_64) cr3: u64,
    pub(in crate::arch::x86_64) cr4: u64,
    pub(in crate::arch::x86_64) efer: u64,
    pub(in crate::arch::x86_64) rip: u64,
    pub(in crate::arch::x86_64) rflags: u64,
    pub(in crate::arch::x86_64) rax: u64,
    pub(in crate::arch::x86_64) rbx: u64,
    pub(in crate::arch::x86_64) rdx: u64,
    pub(in crate::arch::x86_64) rsi: u64,
}

/// DR6 after a reset.
pub(in crate::arch::x86_64) const DR6: u64 = 0xffff_0ff0;
/// DR7 after a reset.
pub(in crate::arch::x86_64) const DR7: u64 = 0x400;
/// `IA32_PAT` after a reset.
pub(in crate::arch::x86_64) const PAT: u64 = 0x0007_0406_0007_0406;

const CS: usize = 1;
const CODE_SELECTOR: u16 = 0x10;
const DATA_SELECTOR: u16 = 0x18;
/// Present, type read/write data, accessed.
const DATA: u16 = 0x93;
/// Present, type execute/read code, accessed.
const CODE: u16 = 0x9b;
/// Limit in pages, 32-bit.
const FLAT: u16 = 0xc00;
/// Limit in pages, 64-bit.
const LONG: u16 = 0xa00;

const fn real(attributes: u16) -> Segment {
    Segment { selector: 0, attributes, limit: 0xffff, base: 0 }
}

const fn flat(selector: u16, attributes: u16) -> Segment {
    Segment { selector, attributes, limit: u32::MAX, base: 0 }
}

impl Initial {
    /// In real mode at 0, with what all starts have in common. The family of RDX is that of a Pentium Pro, as SDM table 9-1
    /// has it; TR holds a busy 32-bit TSS, since VMX insists on it, and Bochs's SVM as well.
    const POWER_ON: Self = Self {
        segments: [
            real(DATA),
            real(CODE),
            real(DATA),
            real(DATA),
            real(DATA),
            real(DATA),
            real(0x82),
            real(0x8b),
        ],
        gdtr: (0, 0xffff),
        idtr: (0, 0xffff),
        cr0: cr0::ET,
        cr3: 0,
        cr4: 0,
        efer: 0,
        rip: 0,
        rflags: flags::RESERVED,
        rax: 0,
        rbx: 0,
        rdx: 0x600,
        rsi: 0,
    };

    /// The state for a start.
    pub(in crate::arch::x86_64) const fn new(start: Start) -> Self {
        match start {
            Start::Real { segment, offset } => {
                let mut state = Self::POWER_ON;
                state.segments[CS].selector = segment;
                state.segments[CS].base = (segment as u64) << 4;
                state.rip = offset as u64;
                state
            }
            Start::Pvh { entry, start_info } => Self::protected(entry.0, 0, start_info.0),
            Start::Multiboot { entry, information } => {
                Self::protected(entry.0, Start::MULTIBOOT_EAX as u64, information.0)
            }
            Start::Long { entry, parameters, page_tables, gdt } => {
                let mut state = Self::with_segments(CODE | LONG);
                state.gdtr = (gdt.0, 31);
                state.cr0 |= cr0::PE | cr0::PG;
                state.cr3 = page_tables.0;
                state.cr4 = cr4::PAE;
                state.efer = efer::LME | efer::LMA;
                state.rip = entry.0;
                state.rsi = parameters.0;
                state
            }
        }
    }

    /// 32-bit protected mode without paging.
    const fn protected(entry: u64, rax: u64, rbx: u64) -> Self {
        let mut state = Self::with_segments(CODE | FLAT);
        state.cr0 |= cr0::PE;
        state.rip = entry;
        state.rax = rax;
        state.rbx = rbx;
        state.rdx = 0;
        state
    }

    const fn with_segments(code: u16) -> Self {
        let mut state = Self::POWER_ON;
        let data = flat(DATA_SELECTOR, DATA | FLAT);
        let [_, _, _, _, _, _, ldtr, tr] = state.segments;
        state.segments = [data, flat(CODE_SELECTOR, code), data, data, data, data, ldtr, tr];
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::GuestPhysAddr;

    #[test]
    fn a_processor_that_is_started_begins_at_its_page_in_real_mode() {
        let state = Initial::new(Start::startup(0x9a));
        let cs = state.segments[CS];
        assert_eq!(
            (cs.selector, cs.base, cs.limit, cs.attributes),
            (0x9a00, 0x9_a000, 0xffff, 0x9b)
        );
        assert_eq!((state.rip, state.cr0, state.rflags), (0, 0x10, 2));
        assert_eq!(state.segments[7].attributes, 0x8b, "a busy TSS");
    }

    #[test]
    fn linux_starts_in_long_mode_with_the_selectors_of_its_protocol() {
        let at = GuestPhysAddr;
        let start = Start::Long {
            entry: at(0x100_0200),
            parameters: at(0x9_f000),
            page_tables: at(0x9_8000),
            gdt: at(0x9_7000),
        };
        let state = Initial::new(start);
        assert_eq!(
            (state.cr0, state.cr3, state.cr4, state.efer),
            (0x8000_0011, 0x9_8000, 0x20, 0x500)
        );
        assert_eq!((state.rip, state.rsi, state.gdtr), (0x100_0200, 0x9_f000, (0x9_7000, 31)));
        let cs = state.segments[CS];
        assert_eq!((cs.selector, cs.attributes, cs.limit), (0x10, 0xa9b, u32::MAX));
        for index in [0, 2, 3] {
            let data = state.segments[index];
            assert_eq!((data.selector, data.attributes, data.limit), (0x18, 0xc93, u32::MAX));
        }
    }

    #[test]
    fn pvh_and_multiboot_start_in_protected_mode_without_paging() {
        let entry = GuestPhysAddr(0x10_0000);
        let pvh = Initial::new(Start::Pvh { entry, start_info: GuestPhysAddr(0x1234) });
        assert_eq!((pvh.cr0, pvh.cr4, pvh.efer, pvh.rbx), (0x11, 0, 0, 0x1234));
        assert_eq!(pvh.segments[CS].attributes, 0xc9b);
        let multiboot =
            Initial::new(Start::Multiboot { entry, information: GuestPhysAddr(0x5678) });
        assert_eq!((multiboot.rax, multiboot.rbx), (0x2bad_b002, 0x5678));
        assert_eq!(Initial { rax: 0, rbx: 0x1234, ..multiboot }, pvh);
    }
}
