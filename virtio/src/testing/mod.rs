//! The other side, for tests and fuzzing: RAM, wires, and a driver that builds chains as Linux does.
//!
//! It is no part of a hypervisor: the feature `testing` switches it on outside of this crate's own tests.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test's tools may fail the test"
)]

pub mod driver;
pub mod guest;
pub mod ram;
pub mod wires;
