//! The machine: everything that needs privilege or `unsafe`, and the vocabulary built on it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod arch;
pub mod console;
pub mod device;
pub mod disk;
mod dma;
pub mod exit;
pub mod frames;
pub mod guest;
pub mod host;
pub mod machine;
pub mod memory;
pub mod mmio;
pub mod network;
mod own_space;
pub mod page;
pub mod paging;
pub mod panic;
mod pci;
pub mod ram;
pub mod sync;
mod ticks;
pub mod time;
pub mod vcpu;
