//! The host's own network: TCP/IP stack, telnet, and the switch between guests.
//!
//! Empty until Roost is administered over a network; the crate exists so that the arrows between
//! crates are fixed from the start.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
