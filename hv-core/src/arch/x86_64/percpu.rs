//! What each physical CPU has to itself. A pointer to it is at the top of the CPU's stack, whose alignment finds it: FS and GS may
//! hold a guest's.

// UNSAFETY: a pointer on the stack.
#![expect(unsafe_code)]

use super::descriptors::Descriptors;
use super::insn;
use super::interrupts::Pending;
use super::virt::PerCpuVirt;
use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::AtomicU64;

/// Bytes of a CPU's stack, which is aligned to them.
pub(super) const STACK_BYTES: u64 = 64 << 10;

/// One physical CPU. Never freed, never moved.
#[derive(Debug)]
pub(super) struct PerCpu {
    index: usize,
    apic_id: u32,
    /// Interrupts that came in.
    pub(super) pending: Pending,
    /// What virtualization keeps for it.
    pub(super) virt: PerCpuVirt,
    /// When its timer is to fire, in nanoseconds.
    pub(super) deadline: AtomicU64,
    descriptors: &'static Descriptors,
}

impl PerCpu {
    /// The CPU of number `index`, with tables of its own.
    pub(super) fn new(index: usize, apic_id: u32) -> &'static Self {
        let descriptors = Descriptors::new();
        let (pending, virt) = (Pending::new(), PerCpuVirt::new());
        Box::leak(Box::new(Self {
            index,
            apic_id,
            pending,
            deadline: AtomicU64::new(u64::MAX),
            virt,
            descriptors,
        }))
    }

    /// Puts the pointer to it where the CPU with this stack looks for it.
    ///
    /// # Safety
    ///
    /// `stack_top` is that of a stack of [`STACK_BYTES`], aligned to its size, of which nobody uses the last 16 bytes.
    pub(super) unsafe fn own_stack(&'static self, stack_top: u64) {
        let slot = core::ptr::with_exposed_provenance_mut::<u64>(stack_top as usize - 8);
        // SAFETY: our caller's promise.
        unsafe { slot.write_volatile(core::ptr::from_ref(self).expose_provenance() as u64) };
    }

    /// Makes this the CPU that runs this code, as far as its descriptor tables go.
    pub(super) fn install(&'static self) {
        self.descriptors.load();
    }

    /// Its number: 0 for the CPU that booted.
    #[inline]
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Its number in the hardware.
    pub(super) fn apic_id(&self) -> u32 {
        self.apic_id
    }
}

/// The top of the stack that this code runs on.
#[inline(always)]
pub(super) fn stack_top() -> u64 {
    (insn::stack_pointer() & !(STACK_BYTES - 1)) + STACK_BYTES
}

/// The CPU that runs this code; `None` before it has its stack.
#[inline]
pub(super) fn this() -> Option<&'static PerCpu> {
    let stack = insn::stack_pointer();
    if stack == 0 {
        return None;
    }
    let slot = (stack & !(STACK_BYTES - 1)) + STACK_BYTES - 8;
    // SAFETY: all CPUs run on stacks of this size and alignment, whose last word is zero or written by `own_stack`.
    let address =
        unsafe { core::ptr::with_exposed_provenance::<u64>(slot as usize).read_volatile() };
    if address == 0 {
        return None;
    }
    // SAFETY: `own_stack` wrote the address of a leaked box.
    Some(unsafe { &*core::ptr::with_exposed_provenance(address as usize) })
}

/// What the CPU that runs this calls itself, or who made it.
pub(super) fn name() -> String {
    let cpuid = insn::cpuid_reader();
    let brand = cpuid.get_processor_brand_string();
    let vendor = cpuid.get_vendor_info();
    let name = match (&brand, &vendor) {
        (Some(brand), _) => brand.as_str(),
        (None, Some(vendor)) => vendor.as_str(),
        (None, None) => "",
    };
    name.trim().chars().filter(|c| (' '..='~').contains(c)).collect()
}
