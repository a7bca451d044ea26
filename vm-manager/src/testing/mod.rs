//! What the tests of this crate share: a machine that is made up, and guests for it.
//!
//! [`Machine`](machine::Machine) has CPUs, each of which runs the real CPU loop; a manager; and time, which passes only when
//! all of them wait or a guest computes. Guests are Rust code that speaks through [`Guest`](guest::Guest): each thing
//! that would take a CPU out of its guest is awaited. They lie in the guest's RAM as images do, so that a test sees whether
//! an image was loaded, and where a CPU was started.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test panics at whatever it did not expect")]

pub(crate) mod chore;
pub(crate) mod cpu;
pub(crate) mod el1;
pub(crate) mod guest;
pub(crate) mod images;
pub(crate) mod list_registers;
pub(crate) mod machine;
pub(crate) mod platform;
pub(crate) mod ram;
pub(crate) mod sim;
