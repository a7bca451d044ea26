//! Intel VMX: what a VM exit says, and what a CPU can do. Intel SDM vol. 3C, chapters 25 to 28 and appendices A to C.

pub mod capability;
pub mod control;
pub mod decode;
pub mod field;
pub mod reason;
