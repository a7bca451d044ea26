//! AMD SVM: what a #VMEXIT says, and the VMCB. AMD APM vol. 2, chapter 15 and appendices B and C.

pub mod code;
pub mod decode;
pub mod intercept;
pub mod virtual_interrupt;
pub mod vmcb;
