//! SVM as the host has it: its features, how it is switched on, and whose state is in the CPU. AMD APM vol. 2, 15.4 and 15.5.

use super::decode::DecodeAssists;
use crate::arch::x86_64::insn::{self, virt};
use crate::arch::x86_64::msr;
use crate::arch::x86_64::register::efer;
use crate::arch::x86_64::virt::{Kind, PerCpuVirt, Unsupported};
use crate::memory::Frames;
use core::sync::atomic::Ordering;
use spin::Once;

/// `CPUID 8000_000A` (APM vol. 3, E.4.9), and what else of CPUID counts here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::arch::x86_64) struct Features {
    /// The last ASID.
    last_asid: u32,
    bits: u32,
    has_huge_pages: bool,
    pub(super) has_tsc_aux: bool,
}

impl Features {
    const NESTED_PAGING: u32 = 1;
    const NEXT_RIP: u32 = 1 << 3;
    const DECODE_ASSISTS: u32 = 1 << 7;
    const PAUSE_FILTER: u32 = 1 << 10;
    const PAUSE_THRESHOLD: u32 = 1 << 12;

    /// By CPUID. SVM is there.
    pub(super) fn new(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> Self {
        let [_, asids, _, bits] = cpuid(0x8000_000a, 0);
        Self {
            last_asid: asids.saturating_sub(1).max(1),
            bits,
            has_huge_pages: cpuid(0x8000_0001, 0)[3] & 1 << 26 != 0,
            has_tsc_aux: msr::has_tsc_aux(cpuid),
        }
    }

    /// Whether the VMCB tells where the next instruction is.
    pub(super) fn has_next_rip(self) -> bool {
        self.bits & Self::NEXT_RIP != 0
    }

    /// Whether it tells the operands of MOV.
    pub(super) fn decode_assists(self) -> DecodeAssists {
        if self.bits & Self::DECODE_ASSISTS != 0 {
            DecodeAssists::Present
        } else {
            DecodeAssists::Absent
        }
    }

    /// How many PAUSEs of a loop pass without an exit, and how near to each other they are in a loop, in ticks.
    pub(super) fn pause_filter(self) -> (u16, u16) {
        let count = if self.bits & Self::PAUSE_FILTER != 0 { 3000 } else { 0 };
        let threshold = if self.bits & Self::PAUSE_THRESHOLD != 0 { 128 } else { 0 };
        (count, threshold)
    }
}

static FEATURES: Once<Features> = Once::new();

/// What the CPUs have; `None` before SVM is switched on.
pub(in crate::arch::x86_64) fn features() -> Option<Features> {
    FEATURES.get().copied()
}

/// Whether leaves of 1 GiB are to be had.
pub(in crate::arch::x86_64) fn has_huge_pages() -> bool {
    features().is_none_or(|features| features.has_huge_pages)
}

/// Switches SVM on on this CPU.
pub(in crate::arch::x86_64) fn enable(percpu: &PerCpuVirt) -> Result<(), Unsupported> {
    const LOCKED: u64 = 1 << 3;
    const DISABLED: u64 = 1 << 4;
    let found = Features::new(insn::cpuid);
    if found.bits & Features::NESTED_PAGING == 0 {
        return Err(Unsupported::NestedPaging);
    }
    if *FEATURES.call_once(|| found) != found {
        return Err(Unsupported::Different);
    }
    let vm_cr = insn::rdmsr(msr::VM_CR);
    match (vm_cr & DISABLED != 0, vm_cr & LOCKED != 0) {
        (true, true) => return Err(Unsupported::LockedOff(Kind::Svm)),
        (true, false) => insn::wrmsr(msr::VM_CR, vm_cr & !DISABLED),
        (false, _) => {}
    }
    if percpu.region.load(Ordering::Relaxed) == 0 {
        let save_area = Frames::one().ok_or(Unsupported::NoMemory)?.zero();
        let host_vmcb = Frames::one().ok_or(Unsupported::NoMemory)?.zero();
        percpu.host_vmcb.store(host_vmcb.leak(), Ordering::Relaxed);
        percpu.region.store(save_area.leak(), Ordering::Relaxed);
    }
    insn::wrmsr(msr::EFER, insn::rdmsr(msr::EFER) | efer::SVME);
    insn::wrmsr(msr::VM_HSAVE_PA, percpu.region.load(Ordering::Relaxed));
    percpu.tags.set_last(found.last_asid);
    // Whoever had this CPU before us may have left translations.
    percpu.flush.store(true, Ordering::Relaxed);
    Ok(())
}

/// Switches it off again.
pub(in crate::arch::x86_64) fn disable(percpu: &PerCpuVirt) {
    leave_guest_state(percpu);
    insn::wrmsr(msr::VM_HSAVE_PA, 0);
    insn::wrmsr(msr::EFER, insn::rdmsr(msr::EFER) & !efer::SVME);
}

/// Puts what VMLOAD takes from the VMCB at this address into the CPU, which from here on takes neither interrupts nor NMIs.
#[cold]
pub(super) fn enter_guest_state(percpu: &PerCpuVirt, vmcb: u64) {
    leave_guest_state(percpu);
    virt::clgi();
    virt::vmsave(percpu.host_vmcb.load(Ordering::Relaxed));
    virt::vmload(vmcb);
    percpu.loaded_vmcb.store(vmcb, Ordering::Relaxed);
}

/// Takes it out again, if a guest's is in the CPU.
#[inline(always)]
pub(in crate::arch::x86_64) fn leave_guest_state(percpu: &PerCpuVirt) {
    let vmcb = percpu.loaded_vmcb.load(Ordering::Relaxed);
    if vmcb != 0 {
        virt::vmsave(vmcb);
        virt::vmload(percpu.host_vmcb.load(Ordering::Relaxed));
        percpu.loaded_vmcb.store(0, Ordering::Relaxed);
        // What waited is taken here.
        virt::stgi();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_has_sixteen_asids_and_no_assists() {
        let qemu = Features::new(|leaf, _| match leaf {
            0x8000_000a => [1, 16, 0, 1 | 1 << 16 | 1 << 28],
            0x8000_0000 => [0x8000_000a, 0, 0, 0],
            0x8000_0001 => [0, 0, 0, 1 << 26 | 1 << 27],
            _ => [0; 4],
        });
        assert_eq!(qemu.last_asid, 15);
        assert!(qemu.has_huge_pages && qemu.has_tsc_aux && !qemu.has_next_rip());
        assert_eq!(qemu.decode_assists(), DecodeAssists::Absent);
        assert_eq!(qemu.pause_filter(), (0, 0));
    }

    #[test]
    fn what_is_of_no_guest_is_left_alone() {
        let percpu = PerCpuVirt::new();
        leave_guest_state(&percpu);
        enter_guest_state(&percpu, 0x5000);
        assert_eq!(percpu.loaded_vmcb.load(Ordering::Relaxed), 0x5000);
        leave_guest_state(&percpu);
        assert_eq!(percpu.loaded_vmcb.load(Ordering::Relaxed), 0);
    }
}
