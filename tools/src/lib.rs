//! Host tools of the build, so that it needs neither `objcopy` nor `cpio` on the host. The machine tests pack their
//! own bundles with them.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod cpio;
mod error;
pub mod flatten;
pub mod manifest;

pub use error::Error;
