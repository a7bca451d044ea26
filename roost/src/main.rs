//! The composition root: builds everything, wires it together, never decides anything.
#![cfg_attr(target_os = "none", no_std, no_main)]
// On a host that only tests, nothing calls what the entry symbol calls.
#![cfg_attr(not(target_os = "none"), allow(dead_code, reason = "only the target has callers"))]

extern crate alloc;

mod boot_line;
mod bundles;
mod consoles;
mod disks;
mod host;
mod journal;
mod network;
mod networks;
mod people;
mod platform;
mod plugs;
mod ports;
mod programs;
mod remote;
mod scrapes;
mod service;
mod sessions;
mod words;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("roost is a hypervisor: 'make run' boots it in an emulator");
}

/// Everything begins here, on the boot CPU, once the machine is set up.
#[cfg(target_os = "none")]
#[expect(unsafe_code, reason = "the symbol that hv-core calls")]
#[unsafe(no_mangle)]
fn roost_main(machine: hv_core::machine::Machine) -> ! {
    service::run(machine)
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    hv_core::panic::panicked(info)
}
