//! ext4, and ext2 and ext3 with it (Linux, Documentation/filesystems/ext4/): superblock, inodes, directories.
//!
//! A volume that was not unmounted is refused: its journal holds newer versions of blocks, and replaying it here would be
//! code for what one mount elsewhere does. Checksums of metadata are not looked at: whatever is read is checked for what it
//! says anyway, and the data of files has none.

mod blocks;

use super::file_system::{self, Entry, Handle, Kind};
use super::{FileMap, VolumeError, number};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use virtio::disk::reader::ReadAt;

const SUPERBLOCK_AT: u64 = 1024;
const SUPERBLOCK_BYTES: usize = 1024;
const MAGIC: u16 = 0xef53;
const ROOT_INODE: u32 = 2;
/// Linux reads no blocks that are larger than its pages.
const MOST_BLOCK_EXPONENT: u32 = 5;
/// The part of an inode that all versions have.
const INODE_BYTES: usize = 128;

/// `s_feature_incompat` (super.rst): what one must know to read a volume.
mod feature {
    pub(super) const RECOVER: u32 = 1 << 2;
    pub(super) const EXTENTS: u32 = 1 << 6;
    pub(super) const BITS64: u32 = 1 << 7;
    /// Types in directory entries, extents, 64-bit block numbers, protection against two mounts, flexible groups,
    /// extended attributes in inodes, a seed for checksums, large directories.
    pub(super) const KNOWN: u32 =
        1 << 1 | EXTENTS | BITS64 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 13 | 1 << 14;
}

/// `i_mode` (inodes.rst): the bits that say what it is.
mod mode {
    pub(super) const KIND: u16 = 0xf000;
    pub(super) const DIRECTORY: u16 = 0x4000;
    pub(super) const REGULAR: u16 = 0x8000;
}

/// What the superblock says.
#[derive(Clone, Debug)]
pub struct Ext4 {
    block_bytes: u64,
    blocks: u64,
    inodes: u32,
    inodes_per_group: u32,
    inode_bytes: u64,
    /// Where the descriptors of groups begin.
    groups_at: u64,
    descriptor_bytes: u64,
}

/// The parts of an inode that are needed.
pub(crate) struct Inode {
    kind: Kind,
    bytes: u64,
    flags: u32,
    /// `i_block`: the root of what says where its blocks are.
    root: [u8; 60],
}

impl Ext4 {
    /// Reads the superblock; `None` if there is none.
    pub(crate) fn open(disk: &mut dyn ReadAt) -> Result<Option<Self>, VolumeError> {
        if disk.bytes() < SUPERBLOCK_AT + SUPERBLOCK_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = vec![0; SUPERBLOCK_BYTES];
        disk.read_at(SUPERBLOCK_AT, &mut bytes)?;
        if number::half(&bytes, 0x38)? != MAGIC {
            return Ok(None);
        }
        let features = number::word(&bytes, 0x60)?;
        if features & feature::RECOVER != 0 {
            let what = "it was not unmounted; e2fsck or a mount puts that right";
            return Err(VolumeError::Unsupported(what));
        }
        if features & !feature::KNOWN != 0 {
            return Err(VolumeError::Unsupported("it has a feature that ext4 has not by default"));
        }
        let exponent = number::word(&bytes, 0x18)?;
        if exponent > MOST_BLOCK_EXPONENT {
            return Err(VolumeError::Unsupported("its blocks are larger than 32 KiB"));
        }
        let block_bytes = 1024 << exponent;
        let has_64_bits = features & feature::BITS64 != 0;
        let high = if has_64_bits { number::word(&bytes, 0x150)? } else { 0 };
        let blocks = u64::from(high) << 32 | u64::from(number::word(&bytes, 0x4)?);
        if blocks.checked_mul(block_bytes).is_none_or(|end| end > disk.bytes()) {
            return Err(VolumeError::Damaged("it is larger than its partition"));
        }
        let descriptor_bytes =
            if has_64_bits { u64::from(number::half(&bytes, 0xfe)?) } else { 32 };
        // Revision 0 has no field for the size of inodes.
        let inode_bytes =
            if number::word(&bytes, 0x4c)? == 0 { 128 } else { number::half(&bytes, 0x58)?.into() };
        let inodes_per_group = number::word(&bytes, 0x28)?;
        let first_block = u64::from(number::word(&bytes, 0x14)?);
        let is_sound = inodes_per_group != 0
            && (INODE_BYTES as u64..=block_bytes).contains(&inode_bytes)
            && (32..=block_bytes).contains(&descriptor_bytes)
            && (!has_64_bits || descriptor_bytes >= 64)
            && first_block < blocks;
        if !is_sound {
            return Err(VolumeError::Damaged("the superblock says what cannot be"));
        }
        Ok(Some(Self {
            block_bytes,
            blocks,
            inodes: number::word(&bytes, 0x0)?,
            inodes_per_group,
            inode_bytes,
            groups_at: (first_block + 1) * block_bytes,
            descriptor_bytes,
        }))
    }

    pub(crate) fn root(&self, disk: &mut dyn ReadAt) -> Result<Handle, VolumeError> {
        self.handle(disk, ROOT_INODE)
    }

    fn handle(&self, disk: &mut dyn ReadAt, id: u32) -> Result<Handle, VolumeError> {
        let inode = self.inode(disk, id)?;
        Ok(Handle { id, kind: inode.kind, bytes: inode.bytes })
    }

    pub(crate) fn map(&self, disk: &mut dyn ReadAt, file: &Handle) -> Result<FileMap, VolumeError> {
        let inode = self.inode(disk, file.id)?;
        let map = file_system::map_of(disk, inode.bytes);
        blocks::map(self, disk, &inode, map)
    }

    /// Reads an inode, by the descriptor of its group (group_descr.rst).
    fn inode(&self, disk: &mut dyn ReadAt, id: u32) -> Result<Inode, VolumeError> {
        const WRONG: VolumeError = VolumeError::Damaged("there is no such inode");
        let index = id.checked_sub(1).filter(|_| id <= self.inodes).ok_or(WRONG)?;
        let (group, index) = (index / self.inodes_per_group, index % self.inodes_per_group);
        let mut descriptor = [0; 64];
        let used = self.descriptor_bytes.min(64) as usize;
        let at = self.groups_at + u64::from(group) * self.descriptor_bytes;
        disk.read_at(at, descriptor.get_mut(..used).unwrap_or_default())?;
        let high = if used == 64 { number::word(&descriptor, 0x28)? } else { 0 };
        let table = u64::from(high) << 32 | u64::from(number::word(&descriptor, 0x8)?);
        if table == 0 || table >= self.blocks {
            return Err(VolumeError::Damaged("a table of inodes is behind the end"));
        }
        let at = table * self.block_bytes + u64::from(index) * self.inode_bytes;
        let mut bytes = [0; INODE_BYTES];
        disk.read_at(at, &mut bytes)?;
        let kind = match number::half(&bytes, 0x0)? & mode::KIND {
            mode::DIRECTORY => Kind::Directory,
            mode::REGULAR => Kind::File,
            _ => Kind::Other,
        };
        let mut root = [0; 60];
        root.copy_from_slice(number::part(&bytes, 0x28, 60)?);
        let (low, high) = (number::word(&bytes, 0x4)?, number::word(&bytes, 0x6c)?);
        Ok(Inode {
            kind,
            bytes: u64::from(high) << 32 | u64::from(low),
            flags: number::word(&bytes, 0x20)?,
            root,
        })
    }

    /// The entries of a directory (dynamic.rst). Those of a hashed one are in blocks of the same kind; what leads to them
    /// looks like entries that are not used.
    pub(crate) fn entries(
        &self,
        disk: &mut dyn ReadAt,
        bytes: &[u8],
    ) -> Result<Vec<Entry>, VolumeError> {
        const WRONG: VolumeError = VolumeError::Damaged("a directory's entry is longer than it is");
        let mut entries = Vec::new();
        for block in bytes.chunks(self.block_bytes as usize) {
            let mut rest = block;
            while !rest.is_empty() {
                let length = usize::from(number::half(rest, 4)?);
                let (entry, after) = rest.split_at_checked(length).ok_or(WRONG)?;
                if length < 8 {
                    return Err(VolumeError::Damaged("a directory's entry has no length"));
                }
                rest = after;
                let (id, name_bytes) = (number::word(entry, 0)?, number::byte(entry, 6)?);
                if id == 0 {
                    continue;
                }
                let name = number::part(entry, 8, name_bytes.into())?;
                let Ok(name) = core::str::from_utf8(name) else { continue };
                if !matches!(name, "" | "." | "..") {
                    entries
                        .push(Entry { name: String::from(name), handle: self.handle(disk, id)? });
                }
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
