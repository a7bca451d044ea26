//! The architecture facade.
//!
//! Both architectures are always compiled, so both are always tested; only `insn`, the one module
//! of each that holds instructions, looks at the target. What a machine must have is what [`current`] is used for:
//! the other modules of this crate name nothing else of it.

pub mod aarch64;
pub mod x86_64;

/// The architecture that this build runs on. On hosts, which only test, AArch64 stands in.
#[cfg(not(all(target_os = "none", target_arch = "x86_64")))]
pub use aarch64 as current;
/// The architecture that this build runs on.
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
pub use x86_64 as current;
