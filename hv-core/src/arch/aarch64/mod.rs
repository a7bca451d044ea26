//! AArch64: EL2.

// Elsewhere, nothing calls what the assembly and the binary call.
#![allow(
    dead_code,
    unused_imports,
    clippy::allow_attributes,
    reason = "only its own target has callers of all of it"
)]

mod boot;
mod clock;
mod cpu;
mod discovery;
mod el1;
pub mod esr;
mod fault;
mod gic;
pub mod idregs;
mod insn;
mod lines;
pub mod list_register;
mod mmu;
mod model;
pub(crate) mod pci;
mod percpu;
mod psci;
mod space;
pub mod stage;
pub mod sysreg;
mod uart;
pub mod vcpu;
pub(crate) mod virtio;

pub(crate) use boot::start_cpus;
pub(crate) use clock::{now, set_timer};
pub(crate) use cpu::{clean, copy, forget_instructions, sleep, zero};
pub(crate) use fault::{backtrace, frame_pointer};
pub use gic::HostListRegisters;
pub use idregs::GicVersion;
pub(crate) use mmu::map_device;
pub(crate) use space::publish_mapping;
pub use space::{LastHere, SpaceId, Translation};
pub use stage::Stage2;
pub(crate) use stage::{map_guest, translate_guest, unmap_guest_page};
pub(crate) use uart::HostUart;
pub use vcpu::{Start, TimerState, Vcpu};

use crate::console::SerialPort;
use crate::machine::{End, HostEvent, Range};

/// Tells the CPU that a lock or another CPU is waited for.
#[inline]
pub(crate) fn pause() {
    insn::pause();
}

/// Lets devices that master the bus see what was written before.
pub(crate) fn publish_to_devices() {
    insn::dsb_sy();
}

/// The number of the CPU that runs this.
#[inline]
pub(crate) fn cpu_index() -> usize {
    percpu::this().map_or(0, percpu::PerCpu::index)
}

/// A random number from the hardware, if this CPU has a source (`FEAT_RNG`, from 1 in the last field of
/// `ID_AA64ISAR0_EL1`; Arm ARM, D19.2.61) and that has one now.
pub(crate) fn random() -> Option<u64> {
    if insn::id_aa64isar0_el1::read() >> 60 == 0 { None } else { insn::random() }
}

/// Takes CPU `index` out of its guest or its sleep.
pub(crate) fn kick(index: usize) {
    if let (Some(gic), Some(cpu)) = (gic::get(), boot::online(index)) {
        gic.kick(cpu);
    }
}

/// The next interrupt that waits for this CPU, taken; `None` when there is none.
#[inline]
pub(crate) fn next_event() -> Option<HostEvent> {
    let gic = gic::get()?;
    let acknowledged = gic.acknowledge()?;
    let intid = acknowledged & 0x3ff;
    gic.drop_priority(acknowledged);
    // The hottest first. It stays active until the guest deactivates it through a list register.
    if intid == lines::VIRTUAL_TIMER.get() {
        return Some(HostEvent::GuestTimer);
    }
    let event = if intid == gic::KICK_SGI {
        HostEvent::Kick
    } else if intid == lines::HYPERVISOR_TIMER.get() {
        set_timer(crate::time::Instant::NEVER);
        HostEvent::Timer
    } else if intid == lines::MAINTENANCE.get() {
        HostEvent::GuestInterruptController
    } else if intid == lines::CONSOLE.get() {
        HostEvent::Console
    } else {
        virtio::acknowledge(intid).unwrap_or(HostEvent::Spurious(intid))
    };
    gic.deactivate(acknowledged);
    Some(event)
}

/// Deactivates the virtual timer's interrupt on this CPU: the guest has ended it without its list register, or there is
/// no guest.
pub(crate) fn deactivate_guest_timer() {
    if let Some(gic) = gic::get() {
        gic.set_private_active(vcpu::VIRTUAL_TIMER_INTID, gic::Activity::Inactive);
    }
}

/// Sends a byte past all locks: for a panic.
pub(crate) fn emergency_write(byte: u8) {
    const PATIENCE: u32 = 1_000_000;
    if let Some(mut uart) = boot::platform_uart() {
        for _ in 0..PATIENCE {
            if uart.try_send(byte) {
                break;
            }
        }
    }
}

/// Ends the machine; returns only if it cannot be ended so.
pub(crate) fn end(end: End) {
    match end {
        End::Off => psci::system_off(),
        End::Restart => psci::system_reset(),
        End::Exit(status) => {
            // SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit.
            const SYS_EXIT_EXTENDED: u64 = 0x20;
            const APPLICATION_EXIT: u64 = 0x2_0026;
            insn::semihosting(SYS_EXIT_EXTENDED, &[APPLICATION_EXIT, u64::from(status)]);
        }
    }
}

/// What CPU `index` is, and its affinity; nothing and zero if it does not run.
pub(crate) fn cpu_description(index: usize) -> (alloc::string::String, u64) {
    boot::online(index).map_or_else(Default::default, |cpu| (model::name(cpu.midr()), cpu.mpidr()))
}

/// Bytes of the hypervisor's stacks and of its own page tables, as far as they are not in the image.
pub(crate) fn own_bytes() -> (u64, u64) {
    mmu::bytes()
}

/// The interrupt controller of the host, which decides what guests can have.
#[must_use]
pub fn gic_version() -> GicVersion {
    match gic::get() {
        Some(gic::Gic::V2(_)) => GicVersion::V2,
        Some(gic::Gic::V3(_)) | None => GicVersion::V3,
    }
}

/// GICv2: the virtual CPU interface, which guests see in place of a CPU interface.
#[must_use]
pub fn virtual_cpu_interface() -> Option<Range> {
    match &boot::platform()?.gic {
        Some(discovery::GicNode::V2(node)) => Some(node.virtual_cpu),
        _ => None,
    }
}

/// What the interrupt controller is called.
pub(crate) fn interrupt_controller() -> &'static str {
    gic_version().name()
}

/// The architecture and how it is virtualized.
pub(crate) fn architecture() -> &'static str {
    "AArch64 EL2"
}

/// What stands in the way of guests: nothing, since the boot insists on EL2.
pub(crate) fn why_no_guests() -> Option<alloc::string::String> {
    None
}
