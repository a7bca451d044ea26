//! AMD SVM: what a #VMEXIT says, and the VMCB. AMD APM vol. 2, chapter 15 and appendices B and C.

pub mod code;
pub(super) mod cpu;
pub mod decode;
pub(super) mod host;
pub mod intercept;
mod length;
mod permission;
pub mod virtual_interrupt;
pub mod vmcb;
