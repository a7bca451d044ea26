//! The real machine, as the VM manager sees it.

use alloc::string::{String, ToString};
use hv_core::guest::GuestPhysAddr;
use hv_core::host::{self, Vcpu};
use hv_core::machine::{HostEvent, Range};
use hv_core::ram::{GuestRam, RamError};
use hv_core::time::Instant;
use vm_manager::personality::virt::{ArmPlatform, Virt};
use vm_manager::platform::Platform;
use vm_manager::virt_map::GicVersion;

/// The machine that this runs on.
#[derive(Debug)]
pub(crate) struct Hardware;

impl Platform for Hardware {
    type Cpu = Vcpu;
    type Ram = GuestRam;
    type Board = Virt<Self>;

    #[inline]
    fn now(&self) -> Instant {
        host::now()
    }

    #[inline]
    fn cpu_index(&self) -> usize {
        host::cpu_index()
    }

    fn kick(&self, cpu: usize) {
        host::kick(cpu);
    }

    fn sleep(&self) {
        host::sleep();
    }

    fn pause(&self) {
        host::pause();
    }

    fn set_timer(&self, deadline: Instant) {
        host::set_timer(deadline);
    }

    #[inline]
    fn next_event(&self) -> Option<HostEvent> {
        host::next_event()
    }

    fn deactivate_guest_timer(&self) {
        host::deactivate_guest_timer();
    }

    fn new_ram(&self, parts: &[Range]) -> Result<GuestRam, RamError> {
        GuestRam::new(parts)
    }
}

impl ArmPlatform for Hardware {
    fn new_cpu(&self, index: u8, ram: &GuestRam, gic: GicVersion) -> Vcpu {
        Vcpu::new(index, ram.translation(), ram.last_here(), gic)
    }

    fn gic_version(&self) -> GicVersion {
        host::gic_version()
    }

    fn map_cpu_interface(&self, ram: &mut GuestRam, gpa: GuestPhysAddr) -> Result<(), String> {
        let interface = host::virtual_cpu_interface().ok_or("the host has no GICv2")?;
        ram.map_device(gpa, interface.page_aligned()).map_err(|error| error.to_string())
    }
}
