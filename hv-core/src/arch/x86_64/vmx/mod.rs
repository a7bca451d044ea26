//! Intel VMX: what a VM exit says, and what a CPU can do. Intel SDM vol. 3C, chapters 25 to 28 and appendices A to C.

mod bitmap;
pub mod capability;
pub mod control;
pub(super) mod cpu;
pub mod decode;
pub mod field;
pub(super) mod host;
pub mod reason;
pub mod vmcs;
