//! Why a volume, or a file of it, cannot be read.

use core::fmt;
use virtio::disk::DiskError;

/// Why a volume, or a file of it, cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VolumeError {
    /// The disk cannot be read.
    Disk(DiskError),
    /// It has no file system that is known here.
    Unknown,
    /// It has one that uses what is not supported: what that is.
    Unsupported(&'static str),
    /// What it says cannot be: what that is.
    Damaged(&'static str),
    /// There is more of something than is read.
    TooLarge(&'static str),
}

impl fmt::Display for VolumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Unknown => f.write_str("there is neither an ext4 nor a FAT file system"),
            Self::Unsupported(what) => write!(f, "the file system is not supported: {what}"),
            Self::Damaged(what) => write!(f, "the file system is damaged: {what}"),
            Self::TooLarge(what) => write!(f, "the file system has too much: {what}"),
        }
    }
}

impl core::error::Error for VolumeError {}

impl From<DiskError> for VolumeError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}
