//! Whichever file system a partition has.

use super::ext4::Ext4;
use super::fat::Fat;
use super::map::MapBuilder;
use super::{FileMap, VolumeError};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use virtio::disk::reader::ReadAt;

/// A directory of more bytes than this is not read.
const MOST_DIRECTORY_BYTES: u64 = 1 << 20;

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else: it is not looked at. Symbolic links are not followed.
    Other,
}

/// Names a file or a directory in its file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Handle {
    /// Its inode, or first cluster.
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    /// Its length; that of a directory may not be known.
    pub(crate) bytes: u64,
}

impl Handle {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How long a file is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it names.
    pub handle: Handle,
}

/// A file system.
#[derive(Clone, Debug)]
pub enum FileSystem {
    /// ext2, ext3 or ext4.
    Ext4(Ext4),
    /// FAT12, FAT16 or FAT32.
    Fat(Fat),
}

impl FileSystem {
    /// The file system of a disk, which is one partition.
    ///
    /// # Errors
    ///
    /// [`VolumeError`].
    pub fn open(disk: &mut dyn ReadAt) -> Result<Self, VolumeError> {
        if let Some(found) = Ext4::open(disk)? {
            return Ok(Self::Ext4(found));
        }
        Fat::open(disk)?.map(Self::Fat).ok_or(VolumeError::Unknown)
    }

    /// Its kind: `ext4` or `FAT`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ext4(_) => "ext4",
            Self::Fat(_) => "FAT",
        }
    }

    /// Its root directory.
    ///
    /// # Errors
    ///
    /// [`VolumeError`].
    pub fn root(&self, disk: &mut dyn ReadAt) -> Result<Handle, VolumeError> {
        match self {
            Self::Ext4(ext4) => ext4.root(disk),
            Self::Fat(fat) => Ok(fat.root()),
        }
    }

    /// What is in a directory, in the order in which it is stored; itself and its parent are left out, and names that are
    /// not UTF-8.
    ///
    /// # Errors
    ///
    /// [`VolumeError`].
    pub fn list(
        &self,
        disk: &mut dyn ReadAt,
        directory: &Handle,
    ) -> Result<Vec<Entry>, VolumeError> {
        let map = match self {
            Self::Ext4(ext4) => ext4.map(disk, directory)?,
            Self::Fat(fat) => fat.directory_map(disk, directory)?,
        };
        if map.bytes() > MOST_DIRECTORY_BYTES {
            return Err(VolumeError::TooLarge("a directory of more than 1 MiB"));
        }
        let bytes = read(disk, &map)?;
        match self {
            Self::Ext4(ext4) => ext4.entries(disk, &bytes),
            Self::Fat(fat) => fat.entries(&bytes),
        }
    }

    /// Where a file is.
    ///
    /// # Errors
    ///
    /// [`VolumeError`].
    pub fn map(&self, disk: &mut dyn ReadAt, file: &Handle) -> Result<FileMap, VolumeError> {
        match self {
            Self::Ext4(ext4) => ext4.map(disk, file),
            Self::Fat(fat) => fat.map(disk, file),
        }
    }
}

/// A map of a file of so many bytes, as yet empty.
pub(crate) fn map_of(disk: &dyn ReadAt, bytes: u64) -> MapBuilder {
    MapBuilder::new(bytes, disk.bytes())
}

/// Reads all of a small file.
pub(crate) fn read(disk: &mut dyn ReadAt, map: &FileMap) -> Result<Vec<u8>, VolumeError> {
    read_head(disk, map, map.bytes())
}

/// Reads up to so many bytes from the beginning of a file.
pub(crate) fn read_head(
    disk: &mut dyn ReadAt,
    map: &FileMap,
    at_most: u64,
) -> Result<Vec<u8>, VolumeError> {
    let mut bytes = vec![0; usize::try_from(at_most.min(map.bytes())).unwrap_or(0)];
    for run in map.runs() {
        let Some(at) = run.at else { continue };
        let end = (run.from + run.bytes).min(bytes.len() as u64);
        let part = bytes.get_mut(run.from.min(end) as usize..end as usize).unwrap_or_default();
        if !part.is_empty() {
            disk.read_at(at, part)?;
        }
    }
    Ok(bytes)
}
