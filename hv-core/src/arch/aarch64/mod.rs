//! AArch64: EL2.

pub mod list_register;
pub mod stage;
