//! Intel VMX: what a VM exit says. Intel SDM vol. 3C, chapters 25 to 28 and appendices B and C.

pub mod decode;
pub mod field;
pub mod reason;
