//! VMX as the host has it: what the CPUs can do, how it is switched on, and the host's state in a VMCS. Intel SDM vol. 3C, 24.6
//! to 24.8, 25.5, 29.4.3.

use super::capability::{ALL_CONTEXTS, Capabilities, FEATURE_CONTROL, Firmware};
use super::control::Controls;
use super::vmcs::host;
use crate::arch::x86_64::insn::{self, virt};
use crate::arch::x86_64::msr;
use crate::arch::x86_64::page::Page;
use crate::arch::x86_64::register::cr4;
use crate::arch::x86_64::space::{self, Flush, Tag};
use crate::arch::x86_64::virt::{Kind, PerCpuVirt, Unsupported};
use core::sync::atomic::Ordering;
use spin::Once;

/// A region of a VMCS or of VMXON: it begins with the revision.
pub(super) type Region = Page<[u32; 1024]>;

/// What the CPUs can do, and what Roost makes of it. All CPUs of a machine are alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::arch::x86_64) struct Setup {
    pub(super) capabilities: Capabilities,
    pub(super) controls: Controls,
    pub(super) has_tsc_aux: bool,
}

static SETUP: Once<Setup> = Once::new();

/// What the CPUs can do; `None` before VMX is switched on.
pub(in crate::arch::x86_64) fn setup() -> Option<Setup> {
    SETUP.get().copied()
}

/// Whether leaves of 1 GiB are to be had.
pub(in crate::arch::x86_64) fn has_huge_pages() -> bool {
    setup().is_none_or(|setup| setup.capabilities.has_huge_pages())
}

/// A region with the revision that the CPU wants.
pub(super) fn region(capabilities: &Capabilities) -> Option<Region> {
    let mut region = Region::new()?;
    let [first, ..] = region.get_mut();
    *first = capabilities.revision();
    Some(region)
}

/// Enters VMX operation on this CPU.
pub(in crate::arch::x86_64) fn enable(percpu: &PerCpuVirt) -> Result<(), Unsupported> {
    match Firmware::new(insn::rdmsr(FEATURE_CONTROL)) {
        Firmware::On => {}
        Firmware::Undecided(value) => insn::wrmsr(FEATURE_CONTROL, value),
        Firmware::Off => return Err(Unsupported::LockedOff(Kind::Vmx)),
    }
    let capabilities = Capabilities::read(insn::rdmsr);
    let controls = Controls::new(&capabilities).map_err(Unsupported::Controls)?;
    capabilities.check_ept().map_err(Unsupported::Ept)?;
    let has_tsc_aux = msr::has_tsc_aux(insn::cpuid);
    let found = Setup { capabilities, controls, has_tsc_aux };
    if *SETUP.call_once(|| found) != found {
        return Err(Unsupported::Different);
    }
    if percpu.region.load(Ordering::Relaxed) == 0 {
        let region = region(&capabilities).ok_or(Unsupported::NoMemory)?;
        percpu.region.store(region.leak(), Ordering::Relaxed);
    }
    insn::cr0::write(capabilities.host_cr0().apply(insn::cr0::read()));
    insn::cr4::write(insn::cr4::read() | cr4::VMXE);
    if virt::vmxon(percpu.region.load(Ordering::Relaxed)).is_err() {
        insn::cr4::write(insn::cr4::read() & !cr4::VMXE);
        return Err(Unsupported::Vmxon);
    }
    percpu.tags.set_last(u32::from(u16::MAX));
    forget_everything(&capabilities);
    percpu.retired.store(space::retired(), Ordering::Relaxed);
    Ok(())
}

/// Leaves VMX operation, in which the CPU ignores INIT signals.
pub(in crate::arch::x86_64) fn disable() {
    virt::vmxoff();
    insn::cr4::write(insn::cr4::read() & !cr4::VMXE);
}

/// Sees that no translation is used that is not the guest's own, and that it has a VPID.
pub(super) fn refresh(percpu: &PerCpuVirt, capabilities: &Capabilities, tag: &mut Tag) {
    let retired = space::retired();
    let has_stale_roots = percpu.retired.load(Ordering::Relaxed) != retired;
    let flush = percpu.tags.assign(tag, percpu.identity());
    if has_stale_roots || flush == Flush::Everything {
        forget_everything(capabilities);
        percpu.retired.store(retired, Ordering::Relaxed);
    }
}

fn forget_everything(capabilities: &Capabilities) {
    virt::invept(ALL_CONTEXTS, 0);
    if capabilities.can_forget_vpids() {
        virt::invvpid(ALL_CONTEXTS, 0);
    }
}

/// Writes the host's state to the current VMCS: that of this CPU. RSP is written at the entry.
pub(super) fn write_state() {
    let tables = virt::descriptor_tables();
    for (field, value) in [
        (host::ES, virt::es::read()),
        (host::CS, virt::cs::read()),
        (host::SS, virt::ss::read()),
        (host::DS, virt::ds::read()),
        (host::FS, 0),
        (host::GS, 0),
        (host::TR, u64::from(tables.tr)),
        (host::PAT, insn::rdmsr(msr::PAT)),
        (host::EFER, insn::rdmsr(msr::EFER)),
        (host::SYSENTER_CS, 0),
        (host::SYSENTER_ESP, 0),
        (host::SYSENTER_EIP, 0),
        (host::CR0, insn::cr0::read()),
        (host::CR3, insn::cr3::read()),
        (host::CR4, insn::cr4::read()),
        (host::FS_BASE, 0),
        (host::GS_BASE, 0),
        (host::TR_BASE, virt::task_state(tables)),
        (host::GDTR_BASE, tables.gdt),
        (host::IDTR_BASE, tables.idt),
        (host::RIP, virt::vmx_exit_address()),
    ] {
        virt::vmwrite(field, value);
    }
}
