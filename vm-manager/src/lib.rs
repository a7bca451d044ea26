//! Policy: what a VM is, what each exit means, what runs next, which image is loaded where.
//! No `unsafe`, no `cfg(target_arch)`: all of it is tested on any host.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
pub mod config;
pub mod console;
pub mod devices;
pub mod fdt;
pub mod irqchip;
pub mod load;
pub mod virt_map;
