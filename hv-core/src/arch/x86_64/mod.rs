//! x86-64: so far, its two second-level table formats.

pub mod ept;
pub mod npt;
