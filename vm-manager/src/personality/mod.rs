//! The machines that guests see. All of them are always compiled, so all are always tested.

pub mod pc;
pub mod virt;
