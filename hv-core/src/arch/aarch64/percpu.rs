//! What each physical CPU has to itself; `TPIDR_EL2` points to it.

// UNSAFETY: a pointer in a system register.
#![expect(unsafe_code)]

use super::gic::CpuInterface;
use super::idregs::{GicVersion, GuestIds, HostIds};
use super::insn;
use alloc::boxed::Box;
use spin::Once;

/// One physical CPU. Never freed, never moved.
#[derive(Debug)]
#[repr(C)]
pub(super) struct PerCpu {
    /// Where the handler of EL2's own exceptions puts its frames; the entry code reads it.
    pub(super) emergency_stack_top: u64,
    index: usize,
    mpidr: u64,
    interface: Once<CpuInterface>,
    ids: Once<HostIds>,
    guest_ids: Once<GuestIds>,
    midr: Once<u64>,
}

impl PerCpu {
    /// The CPU of number `index` with these affinity fields, and an emergency stack of its own.
    pub(super) fn new(index: usize, mpidr: u64) -> &'static Self {
        const EMERGENCY_STACK: usize = 16 << 10;
        let stack: &'static mut [u128] =
            Box::leak(alloc::vec![0_u128; EMERGENCY_STACK / 16].into());
        let top = stack.as_ptr_range().end.expose_provenance() as u64;
        Box::leak(Box::new(Self {
            emergency_stack_top: top,
            index,
            mpidr,
            interface: Once::new(),
            ids: Once::new(),
            guest_ids: Once::new(),
            midr: Once::new(),
        }))
    }

    /// Makes this the CPU that runs this code.
    pub(super) fn install(&'static self) {
        insn::tpidr_el2::write(core::ptr::from_ref(self).expose_provenance() as u64);
        self.midr.call_once(insn::midr_el1::read);
    }

    /// Its number: 0 for the CPU that booted.
    #[must_use]
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Its affinity fields, as in `MPIDR_EL1`.
    #[must_use]
    pub(super) fn mpidr(&self) -> u64 {
        self.mpidr
    }

    /// What it is: `MIDR_EL1`.
    pub(super) fn midr(&self) -> u64 {
        self.midr.get().copied().unwrap_or(0)
    }

    pub(super) fn set_interface(&self, interface: CpuInterface) {
        self.interface.call_once(|| interface);
    }

    /// Its interrupt interface; of no list registers before it is set up.
    pub(super) fn interface(&self) -> CpuInterface {
        self.interface.get().copied().unwrap_or_default()
    }

    /// What its guests read in identification registers. All guests of a host have the same GIC.
    pub(super) fn guest_ids(&'static self, gic: GicVersion) -> &'static GuestIds {
        self.guest_ids.call_once(|| GuestIds::new(&self.ids(), gic))
    }

    /// Its identification registers.
    pub(super) fn ids(&self) -> HostIds {
        *self.ids.call_once(|| HostIds {
            pfr0: insn::id_aa64pfr0_el1::read(),
            pfr1: insn::id_aa64pfr1_el1::read(),
            isar0: insn::id_aa64isar0_el1::read(),
            isar1: insn::id_aa64isar1_el1::read(),
            isar2: insn::id_aa64isar2_el1::read(),
            mmfr0: insn::id_aa64mmfr0_el1::read(),
            mmfr1: insn::id_aa64mmfr1_el1::read(),
            mmfr2: insn::id_aa64mmfr2_el1::read(),
        })
    }
}

/// The CPU that runs this code; `None` before [`PerCpu::install`].
#[inline]
pub(super) fn this() -> Option<&'static PerCpu> {
    let address = insn::tpidr_el2::read();
    if address == 0 {
        return None;
    }
    // SAFETY: `install` is the only writer after boot.S cleared the register, and it writes the
    // address of a leaked box.
    Some(unsafe { &*core::ptr::with_exposed_provenance(address as usize) })
}
