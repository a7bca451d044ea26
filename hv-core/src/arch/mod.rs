//! The architecture facade.
//!
//! Both architectures are always compiled, so both are always tested; only `insn`, the one module
//! of each that holds instructions, looks at the target. What a machine must have is what [`current`] is used for:
//! the other modules of this crate name nothing else of it.

pub mod aarch64;
pub mod x86_64;

/// The architecture that this build runs on. AArch64 is the only whole one so far, so it also stands in on hosts
/// that only test.
pub use aarch64 as current;
