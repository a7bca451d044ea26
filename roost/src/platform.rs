//! The real machine, as the VM manager sees it.

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
mod aarch64;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
mod x86_64;

#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
use aarch64::{Board, Cpu};
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
use x86_64::{Board, Cpu};

use crate::{disks, plugs};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use hv_core::host;
use hv_core::machine::{HostEvent, Range};
use hv_core::ram::{self, GuestRam, Lending, RamError};
use hv_core::time::Instant;
use vm_manager::platform::Platform;
use vm_manager::plug::{Order, Plug};

/// The machine that this runs on.
#[derive(Debug)]
pub(crate) struct Hardware;

impl Platform for Hardware {
    type Cpu = Cpu;
    type Ram = GuestRam;
    type Board = Board;

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

    fn hear_disks(&self) -> Instant {
        disks::get().poll(host::now())
    }

    fn deactivate_guest_timer(&self) {
        host::deactivate_guest_timer();
    }

    fn why_no_guests(&self) -> Option<String> {
        host::why_no_guests()
    }

    fn plugs(&self, order: &Order<'_>) -> Result<Vec<Box<dyn Plug>>, String> {
        plugs::of(order)
    }

    fn new_ram(&self, parts: &[Range], lending: Lending) -> Result<GuestRam, RamError> {
        GuestRam::new(parts, lending)
    }

    fn seed(&self) -> [u64; 4] {
        plugs::seed()
    }

    fn available(&self) -> u64 {
        ram::available()
    }
}
