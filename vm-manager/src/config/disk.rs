//! A disk of a VM, as it is configured.

use alloc::string::String;

/// The most disks of a VM.
pub const MAX_DISKS: usize = 6;

/// Where the content of a disk is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Backing {
    /// In memory: so many bytes, zeroes at first. It survives a reset of its VM, and is gone with it.
    Ram(u64),
    /// In an image, by its path below `images/`. What the guest writes is kept in memory, and the image stays as it is.
    Image(String),
    /// All of a disk of the host, by its name, such as `vda`.
    Disk(String),
    /// The partition of a disk of the host that has this label.
    Partition(String),
}

/// What a guest may do with a disk.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DiskAccess {
    /// Everything.
    #[default]
    ReadWrite,
    /// Read it.
    ReadOnly,
}

/// A disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiskConfig {
    /// Where its content is.
    pub backing: Backing,
    /// What the guest may do with it.
    pub access: DiskAccess,
    /// The line of the configuration where its `[[disk]]` begins.
    pub line: u32,
}
