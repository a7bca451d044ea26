//! What the `virt` machine needs of AArch64.

use super::Hardware;
use alloc::string::{String, ToString};
pub(super) use hv_core::arch::aarch64::Vcpu as Cpu;
use hv_core::guest::GuestPhysAddr;
use hv_core::ram::GuestRam;
use vm_manager::personality::virt::{ArmPlatform, Virt};
use vm_manager::virt_map::GicVersion;

/// The machine that guests see.
pub(super) type Board = Virt<Hardware>;

impl ArmPlatform for Hardware {
    fn new_cpu(&self, index: u8, ram: &GuestRam, gic: GicVersion) -> Cpu {
        Cpu::new(index, ram.translation(), ram.last_here(), gic)
    }

    fn gic_version(&self) -> GicVersion {
        hv_core::arch::aarch64::gic_version()
    }

    fn map_cpu_interface(&self, ram: &mut GuestRam, gpa: GuestPhysAddr) -> Result<(), String> {
        let interface =
            hv_core::arch::aarch64::virtual_cpu_interface().ok_or("the host has no GICv2")?;
        ram.map_device(gpa, interface.page_aligned()).map_err(|error| error.to_string())
    }
}
