//! Policy: what a VM is, what each exit means, what runs next, which image is loaded where.
//! No `unsafe`, no `cfg(target_arch)`: all of it is tested on any host.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod board;
pub mod bundle;
pub mod bus;
pub mod config;
pub mod console;
pub mod cpu_loop;
pub mod crash;
pub mod devices;
pub mod error;
pub mod fdt;
pub mod host_config;
pub mod irqchip;
pub mod job;
pub mod load;
pub mod manager;
pub mod pc_map;
pub mod personality;
pub mod platform;
pub mod plug;
pub mod run;
pub mod sched;
pub mod shared;
pub mod sink;
pub mod slot;
#[cfg(test)]
mod testing;
mod usage;
pub mod virt_map;
pub mod vm;
