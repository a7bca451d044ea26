//! The CPU's virtualization: which kind it is, and how it is switched on and off.

use super::insn;
use super::percpu;
use super::space::Tags;
use super::svm;
use super::vmx::{self, capability::MissingEpt, control::Unsuitable};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Once;

/// The two kinds of virtualization.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Intel's.
    Vmx,
    /// AMD's.
    Svm,
}

static KIND: Once<Kind> = Once::new();

/// What the CPUs have, as soon as it is switched on on the first of them.
#[inline]
#[must_use]
pub fn kind() -> Option<Kind> {
    KIND.get().copied()
}

/// What virtualization keeps for each CPU. Only that CPU itself uses it, so all accesses are relaxed.
#[derive(Debug)]
pub struct PerCpuVirt {
    /// SVM: the VMCB whose guest's FS, GS, TR, LDTR and system-call registers are in this CPU, or 0. The global interrupt
    /// flag is clear while there is one.
    pub(super) loaded_vmcb: AtomicU64,
    /// SVM: where the host's are meanwhile.
    pub(super) host_vmcb: AtomicU64,
    /// The VMXON region, or the host save area; 0 before it is switched on.
    pub(super) region: AtomicU64,
    /// The ASIDs or VPIDs of this CPU.
    pub(super) tags: Tags,
    /// SVM: the next VMRUN is to forget all translations.
    pub(super) flush: AtomicBool,
    /// [`space::retired`](super::space::retired) when this CPU last forgot what it knew of guests.
    pub(super) retired: AtomicU64,
}

impl PerCpuVirt {
    /// Virtualization is off.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            loaded_vmcb: AtomicU64::new(0),
            host_vmcb: AtomicU64::new(0),
            region: AtomicU64::new(0),
            tags: Tags::new(),
            flush: AtomicBool::new(false),
            retired: AtomicU64::new(0),
        }
    }

    /// What tells this CPU from all others.
    pub(super) fn identity(&self) -> u64 {
        core::ptr::from_ref(self).addr() as u64
    }
}

/// What virtualization keeps for the CPU that runs this.
#[inline(always)]
pub(super) fn this() -> Option<&'static PerCpuVirt> {
    percpu::this().map(|cpu| &cpu.virt)
}

impl Default for PerCpuVirt {
    fn default() -> Self {
        Self::new()
    }
}

/// Why this CPU runs no guests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsupported {
    /// CPUID says that there is none.
    Absent,
    /// The CPU has it, and firmware has locked it off.
    LockedOff(Kind),
    /// VMX lacks a control.
    Controls(Unsuitable),
    /// EPT lacks something.
    Ept(MissingEpt),
    /// SVM without nested paging.
    NestedPaging,
    /// VMXON failed.
    Vmxon,
    /// This CPU is not like the first one.
    Different,
    /// There is no memory for what the CPU needs.
    NoMemory,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str(
                "the CPU has neither Intel VMX nor AMD SVM; in a virtual machine, switch on nested virtualization (QEMU: -cpu max or -cpu host)",
            ),
            Self::LockedOff(Kind::Vmx) => f.write_str(
                "firmware has locked VMX off; switch on \"Intel Virtualization Technology\" (VT-x) in its setup, then switch the machine off and on",
            ),
            Self::LockedOff(Kind::Svm) => f.write_str(
                "firmware has locked SVM off; switch on \"SVM Mode\" (AMD-V) in its setup, then switch the machine off and on",
            ),
            Self::Controls(control) => control.fmt(f),
            Self::Ept(missing) => missing.fmt(f),
            Self::NestedPaging => f.write_str("the CPU's SVM lacks nested paging"),
            Self::Vmxon => f.write_str("VMXON failed"),
            Self::Different => f.write_str("its virtualization is not that of the first CPU"),
            Self::NoMemory => f.write_str("no memory to switch virtualization on"),
        }
    }
}

/// What CPUID says there is.
fn detect(cpuid: impl Fn(u32, u32) -> [u32; 4]) -> Option<Kind> {
    const VMX: u32 = 1 << 5;
    const SVM: u32 = 1 << 2;
    const EXTENDED: u32 = 0x8000_0000;
    let ecx = |leaf| cpuid(leaf, 0)[2];
    if ecx(1) & VMX != 0 {
        Some(Kind::Vmx)
    } else if cpuid(EXTENDED, 0)[0] > EXTENDED && ecx(EXTENDED + 1) & SVM != 0 {
        Some(Kind::Svm)
    } else {
        None
    }
}

/// Switches virtualization on on the CPU that runs this, whose descriptor tables and task register are final.
///
/// # Errors
///
/// Says what is missing. The CPU does everything but run guests.
pub(super) fn enable_on_this_cpu() -> Result<(), Unsupported> {
    let percpu = this().ok_or(Unsupported::Absent)?;
    let found = detect(insn::cpuid).ok_or(Unsupported::Absent)?;
    if kind().is_some_and(|kind| kind != found) {
        return Err(Unsupported::Different);
    }
    match found {
        Kind::Vmx => vmx::host::enable(percpu),
        Kind::Svm => svm::host::enable(percpu),
    }?;
    KIND.call_once(|| found);
    Ok(())
}

/// Switches it off again, so that an INIT signal or a reset finds the CPU as after power-on. No vCPU is loaded.
pub(super) fn disable_on_this_cpu() {
    let Some(this) = this() else { return };
    if this.region.load(Ordering::Relaxed) == 0 {
        return;
    }
    match kind() {
        Some(Kind::Vmx) => vmx::host::disable(),
        Some(Kind::Svm) => svm::host::disable(this),
        None => {}
    }
}

/// Brings the host's own segments and system-call registers back, and lets this CPU take interrupts and NMIs: to be called
/// before it opens a window for them, or sleeps.
#[inline(always)]
pub(super) fn leave_guest_state() {
    if let Some(this) = this() {
        svm::host::leave_guest_state(this);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuid_tells_which_kind_there_is() {
        let intel = |leaf, _| if leaf == 1 { [0, 0, 1 << 5, 0] } else { [0; 4] };
        assert_eq!(detect(intel), Some(Kind::Vmx));
        let amd = |leaf, _| match leaf {
            0x8000_0000 => [0x8000_000a, 0, 0, 0],
            0x8000_0001 => [0, 0, 1 << 2, 0],
            _ => [0; 4],
        };
        assert_eq!(detect(amd), Some(Kind::Svm));
        assert_eq!(detect(|_, _| [0; 4]), None);
    }

    #[test]
    fn what_is_locked_off_says_how_to_switch_it_on() {
        let text = Unsupported::LockedOff(Kind::Vmx).to_string();
        assert!(text.contains("VT-x") && text.contains("setup"));
        assert!(Unsupported::LockedOff(Kind::Svm).to_string().contains("SVM Mode"));
    }
}
