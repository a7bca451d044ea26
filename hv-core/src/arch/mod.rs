//! The architecture facade.
//!
//! Both architectures are always compiled, so both are always tested; only `insn`, the one module
//! of each that holds instructions, looks at the target.

pub mod aarch64;
pub mod x86_64;
