//! Virtio devices for guests: queues, transports, console, block, net, entropy, balloon.
//!
//! Empty until guests get their first virtio device; the crate exists so that the arrows between
//! crates are fixed from the start. It will depend on the vocabulary of `hv_core::guest` alone.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
