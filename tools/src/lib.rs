//! Host tools of the build, so that it needs neither `objcopy` nor `cpio` on the host, and the rules of the house that
//! no lint checks. The machine tests pack their own bundles with them, and start Bochs.
#![forbid(unsafe_code)]

pub mod bochs;
pub mod bundle;
pub mod cpio;
pub mod disk;
mod error;
pub mod flatten;
pub mod gpt;
pub mod lint;
pub mod manifest;
pub mod multiboot;
pub mod passwd;
pub mod strip;
pub mod terminal;

pub use error::Error;
