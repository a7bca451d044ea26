//! The `pc` machine: so far, what its CPUs say they are.

pub mod cpuid;
pub mod msr;
