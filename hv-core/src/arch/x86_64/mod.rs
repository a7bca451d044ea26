//! x86-64: Intel VMX and AMD SVM.
//!
//! VMX and SVM speak of the same CPU, so both are decoded to the same [`exit::ArchExit`].

// Elsewhere, nothing calls what the assembly and the binary call.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "only its own target has callers of all of it"
)]

mod apic;
mod boot;
mod boot_info;
pub mod clock;
mod cpu;
mod descriptors;
mod discovery;
pub mod ept;
pub mod event;
pub mod exit;
mod fault;
mod firmware;
mod fpu;
mod insn;
mod interrupts;
mod io_apic;
mod msr;
pub mod npt;
mod own_table;
mod page;
pub(crate) mod pci;
mod percpu;
mod power;
pub mod register;
mod rtc;
mod smp;
mod space;
mod stage;
pub mod start;
pub mod svm;
mod uart;
pub mod vcpu;
pub mod virt;
pub(crate) mod virtio;
pub mod vmx;
pub mod walk;

pub(crate) use clock::{now, set_timer};
pub(crate) use cpu::{clean, copy, forget_instructions, zero};
pub(crate) use fault::{backtrace, frame_pointer};
pub(crate) use interrupts::{next_event, sleep};
pub(crate) use own_table::map_device;
pub(crate) use power::end;
pub(crate) use smp::start_cpus;
pub(crate) use space::publish_mapping;
pub use space::{LastHere, SpaceId, Translation};
pub(crate) use stage::{map_guest, translate_guest, unmap_guest_page};
pub(crate) use uart::{HostUart, emergency_write};
pub use vcpu::Vcpu;

use alloc::string::String;

/// Tells the CPU that a lock or another CPU is waited for.
#[inline]
pub(crate) fn pause() {
    insn::pause();
}

/// Lets devices that master the bus see what was written before: they see it in program order (SDM vol. 3A, 9.2).
pub(crate) fn publish_to_devices() {
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

/// A random number from the hardware, if this CPU has a source (bit 30 of CPUID.1:ECX; SDM vol. 1, 7.3.17.1) and that has
/// one now.
pub(crate) fn random() -> Option<u64> {
    const RDRAND: u32 = 1 << 30;
    let [.., ecx, _] = insn::cpuid(1, 0);
    if ecx & RDRAND == 0 { None } else { insn::random() }
}

/// The number of the CPU that runs this.
#[inline]
pub(crate) fn cpu_index() -> usize {
    percpu::this().map_or(0, percpu::PerCpu::index)
}

/// Takes CPU `index` out of its guest or its sleep.
pub(crate) fn kick(index: usize) {
    if let Some(id) = smp::apic_id(index) {
        apic::send(id, interrupts::KICK);
    }
}

/// Nothing but the guest's own instructions ends its timers here.
pub(crate) fn deactivate_guest_timer() {}

/// What CPU `index` calls itself, and its number in the hardware.
pub(crate) fn cpu_description(index: usize) -> (String, u64) {
    smp::describe(index)
}

/// Bytes of the hypervisor's stacks and of its own page tables, as far as they are not in the image.
pub(crate) fn own_bytes() -> (u64, u64) {
    crate::own_space::bytes()
}

/// CPUID of the CPU that runs this: EAX, EBX, ECX, EDX.
#[must_use]
pub fn host_cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    insn::cpuid(leaf, subleaf)
}

/// What the local APIC of each CPU is.
pub(crate) fn interrupt_controller() -> &'static str {
    apic::name()
}

/// The architecture and how it is virtualized.
pub(crate) fn architecture() -> &'static str {
    match virt::kind() {
        Some(virt::Kind::Vmx) => "x86-64 VMX",
        Some(virt::Kind::Svm) => "x86-64 SVM",
        None => "x86-64",
    }
}

/// What stands in the way of guests.
pub(crate) fn why_no_guests() -> Option<String> {
    boot::why_no_guests()
}
