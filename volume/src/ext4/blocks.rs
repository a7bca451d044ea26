//! Where the blocks of an inode are: by extents (ext4, ifork.rst), or by a map of single blocks (ext2, ext3, blockmap.rst).

use super::{Ext4, Inode};
use crate::map::MapBuilder;
use crate::{FileMap, VolumeError, number};
use alloc::vec;
use virtio::disk::reader::ReadAt;

/// `i_flags`: how the content is kept.
mod flag {
    pub(super) const ENCRYPTED: u32 = 1 << 11;
    pub(super) const EXTENTS: u32 = 1 << 19;
    pub(super) const INLINE: u32 = 1 << 28;
}

const MAGIC: u16 = 0xf30a;
/// Of the header of a node, and of each of its entries.
const ENTRY_BYTES: usize = 12;
const MOST_DEPTH: u16 = 5;
/// A longer extent has a length of so much less, and was never written: it reads as zeroes.
const LONGEST_WRITTEN: u16 = 32768;
/// More nodes than this are not read for one file.
const MOST_NODES: u32 = 4096;
/// A file with a map of single blocks may be so long: its blocks are looked at one by one.
const MOST_MAPPED_BYTES: u64 = 4 << 30;

/// Finds the blocks of an inode.
pub(super) fn map(
    volume: &Ext4,
    disk: &mut dyn ReadAt,
    inode: &Inode,
    map: MapBuilder,
) -> Result<FileMap, VolumeError> {
    if inode.flags & (flag::ENCRYPTED | flag::INLINE) != 0 {
        return Err(VolumeError::Unsupported("a file is encrypted, or inside of its inode"));
    }
    let mut walk = Walk { volume, disk, map, nodes_left: MOST_NODES };
    if inode.flags & flag::EXTENTS != 0 {
        let depth = number::half(&inode.root, 6)?;
        if depth > MOST_DEPTH {
            return Err(VolumeError::Damaged("a tree of extents is too deep"));
        }
        walk.node(&inode.root, depth)?;
    } else {
        if inode.bytes > MOST_MAPPED_BYTES {
            return Err(VolumeError::TooLarge("a file without extents of more than 4 GiB"));
        }
        walk.block_map(&inode.root)?;
    }
    walk.map.finish()
}

struct Walk<'a> {
    volume: &'a Ext4,
    disk: &'a mut dyn ReadAt,
    map: MapBuilder,
    nodes_left: u32,
}

impl Walk<'_> {
    /// A node of a tree of extents, which is at this height above its leaves.
    fn node(&mut self, node: &[u8], depth: u16) -> Result<(), VolumeError> {
        if number::half(node, 0)? != MAGIC || number::half(node, 6)? != depth {
            return Err(VolumeError::Damaged("a node of a tree of extents is none"));
        }
        for index in 1..=usize::from(number::half(node, 2)?) {
            if self.map.is_full() {
                break;
            }
            let entry = number::part(node, index * ENTRY_BYTES, ENTRY_BYTES)?;
            match depth.checked_sub(1) {
                None => self.extent(entry)?,
                Some(below) => {
                    let (low, high) = (number::word(entry, 4)?, number::half(entry, 8)?);
                    let child = self.read_node(u64::from(high) << 32 | u64::from(low))?;
                    self.node(&child, below)?;
                }
            }
        }
        Ok(())
    }

    fn extent(&mut self, entry: &[u8]) -> Result<(), VolumeError> {
        let from = u64::from(number::word(entry, 0)?) * self.volume.block_bytes;
        if from < self.map.done() {
            return Err(VolumeError::Damaged("extents of a file overlap"));
        }
        self.map.skip_to(from)?;
        let length = number::half(entry, 4)?;
        let (low, high) = (number::word(entry, 8)?, number::half(entry, 6)?);
        match length.checked_sub(LONGEST_WRITTEN).filter(|unwritten| *unwritten != 0) {
            Some(unwritten) => self.map.push(None, u64::from(unwritten) * self.volume.block_bytes),
            None => self.blocks(u64::from(high) << 32 | u64::from(low), length.into()),
        }
    }

    /// So many blocks of the file, from this one of the volume on.
    fn blocks(&mut self, block: u64, count: u64) -> Result<(), VolumeError> {
        if block.checked_add(count).is_none_or(|end| end > self.volume.blocks) {
            return Err(VolumeError::Damaged("a file has blocks behind the end"));
        }
        self.map.push(Some(block * self.volume.block_bytes), count * self.volume.block_bytes)
    }

    /// Twelve blocks, and then blocks of numbers of blocks, of one, two and three levels.
    fn block_map(&mut self, root: &[u8]) -> Result<(), VolumeError> {
        for (index, level) in [0; 12].into_iter().chain(1..=3).enumerate() {
            self.mapped(number::word(root, index * 4)?, level)?;
        }
        Ok(())
    }

    fn mapped(&mut self, block: u32, level: u32) -> Result<(), VolumeError> {
        if self.map.is_full() {
            return Ok(());
        }
        let per_block = self.volume.block_bytes / 4;
        match (block, level) {
            (0, _) => self.map.push(None, per_block.pow(level) * self.volume.block_bytes),
            (_, 0) => self.blocks(block.into(), 1),
            (_, _) => {
                let numbers = self.read_node(block.into())?;
                for index in 0..per_block as usize {
                    self.mapped(number::word(&numbers, index * 4)?, level - 1)?;
                }
                Ok(())
            }
        }
    }

    fn read_node(&mut self, block: u64) -> Result<alloc::vec::Vec<u8>, VolumeError> {
        self.nodes_left = self
            .nodes_left
            .checked_sub(1)
            .ok_or(VolumeError::TooLarge("a file has more than 4096 blocks of numbers"))?;
        if block == 0 || block >= self.volume.blocks {
            return Err(VolumeError::Damaged("a file has blocks behind the end"));
        }
        let mut bytes = vec![0; self.volume.block_bytes as usize];
        self.disk.read_at(block * self.volume.block_bytes, &mut bytes)?;
        Ok(bytes)
    }
}
