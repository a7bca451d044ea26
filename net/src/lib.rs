//! Administration from afar, and networks for guests. No module of this crate reads a clock, waits or does I/O: bytes, frames
//! and the time come in, answers go out, so that all of it runs on the CPU loop and is tested on any host.
//!
//! ```text
//!    a person's telnet ─▶ stack ─▶ telnet ─▶ login ─▶ the shell's session
//!    a program         ─▶ stack ─▶ wire ───▶ login ─▶ the same commands
//!    Prometheus        ─▶ stack ─▶ metrics
//!    guests' network cards ─▶ switch ─▶ each other, or dhcp, dns, nat ─▶ the host's card
//! ```
//!
//! Whoever is at the other end is hostile until proven otherwise. Nothing grows without a bound, nothing is answered more
//! often than a bound allows, and no input ends in a panic.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bucket;
mod bytes;
pub mod dhcp_server;
pub mod login;
pub mod metrics;
pub mod nat;
pub mod stack;
pub mod switch;
pub mod telnet;
pub mod time;
pub mod uplink;
pub mod wire;
