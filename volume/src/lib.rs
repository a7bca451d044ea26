//! File systems on disks, for the bundles on them. They are only read, and nothing in them is trusted.
//!
//! ```text
//!   at boot    disk ──ReadAt──► Volume (ext4, FAT) ──► Catalogue: configurations, and a FileMap of each image
//!   later      Stream = FileMap + Disk: requests that do not wait, a few pieces of 64 KiB in memory
//! ```
//!
//! Looking at a file system needs one read after another, so all of that is done once, at boot, when nobody waits: it finds
//! out where the bytes of each image are. From then on no file system is looked at any more, and an image is read by
//! asynchronous requests at known places. Whoever has a bundle keeps the partition open, so that no guest writes there.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod catalogue;
mod error;
mod ext4;
mod fat;
mod file_system;
mod map;
mod number;
pub mod stream;
#[cfg(test)]
mod testing;

pub use error::VolumeError;
pub use file_system::{Entry, FileSystem, Handle, Kind};
pub use map::{FileMap, Run};
