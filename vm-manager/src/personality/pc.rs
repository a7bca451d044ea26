//! The `pc` machine: so far, what its CPUs say they are.

pub mod cpu;
pub mod cpuid;
pub mod emulate;
pub mod msr;
#[cfg(test)]
pub(crate) mod testing;
