//! The machine: everything that needs privilege or `unsafe`, and the vocabulary built on it.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod arch;
pub mod exit;
pub mod frames;
pub mod guest;
pub mod paging;
pub mod time;
pub mod vcpu;
