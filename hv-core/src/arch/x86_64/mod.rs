//! x86-64: its two second-level table formats, and what its two kinds of virtualization say at an exit.
//!
//! VMX and SVM speak of the same CPU, so both are decoded to the same [`exit::ArchExit`].

pub mod ept;
pub mod event;
pub mod exit;
pub mod npt;
pub mod register;
pub mod start;
pub mod svm;
pub mod vmx;
pub mod walk;
