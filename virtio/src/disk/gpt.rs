//! Partitions of a disk, by the GUID partition table (UEFI 2.10, 5.3). Whatever is on the disk, reading it takes bounded
//! time and memory, and gives partitions that are inside of it and do not overlap, or an error.

use super::reader::ReadAt;
use super::{DiskError, SECTOR_BYTES, SectorRange};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use gpt_disk_io::gpt_disk_types::{
    BlockSize, GptHeader, GptPartitionEntry, GptPartitionEntryArray, GptPartitionEntryArrayLayout,
    Lba,
};
use gpt_disk_io::{BlockIo, Disk};

pub use gpt_disk_io::gpt_disk_types::Guid;

/// The only size of a header that the crate can sum up; no other is known to exist (5.3.2).
const HEADER_BYTES: u32 = 92;
/// The longest array of entries that is read: four times what the usual 128 entries take.
const MOST_ARRAY_BYTES: usize = 64 << 10;
/// The largest blocks that a disk may have.
const MOST_BLOCK_BYTES: u32 = 64 << 10;
/// The protective MBR, a header and a block of entries, twice but for the first.
const LEAST_BLOCKS: u64 = 5;

/// Why a disk has no partitions that one could use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GptError {
    /// The disk cannot be read.
    Disk(DiskError),
    /// The disk's size or that of its blocks allows no table.
    Shape,
    /// There is no table: where it would be is no such header.
    NoTable,
    /// The header is not what its checksum says, or says something that cannot be.
    Header,
    /// The entries are not what their checksum says.
    Entries,
    /// The table is larger than any that is supported.
    TooLarge,
    /// A partition, counted from 1, is outside of what the table says is usable.
    Outside(u32),
    /// Two partitions, counted from 1, share sectors.
    Overlap(u32, u32),
}

impl fmt::Display for GptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Shape => f.write_str("no disk of this size has a partition table"),
            Self::NoTable => f.write_str("there is no GUID partition table"),
            Self::Header => f.write_str("the header of the partition table is damaged"),
            Self::Entries => f.write_str("the entries of the partition table are damaged"),
            Self::TooLarge => f.write_str("the partition table is too large"),
            Self::Outside(number) => write!(f, "partition {number} is outside of the disk"),
            Self::Overlap(one, other) => write!(f, "partitions {one} and {other} overlap"),
        }
    }
}

impl From<DiskError> for GptError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Which of the two copies of the table was used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copy {
    /// The one at the disk's start.
    Primary,
    /// The one at its end: the primary one is damaged, and why.
    Backup(GptError),
}

/// A partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    /// Its place in the table, counted from 1 as Linux does.
    pub number: u32,
    /// Its label; it may be empty.
    pub label: String,
    /// What it is used for.
    pub kind: Guid,
    /// Its own name.
    pub guid: Guid,
    /// Its sectors.
    pub range: SectorRange,
}

/// A disk's partitions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// The disk's own name.
    pub disk: Guid,
    /// Where this is from.
    pub copy: Copy,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

/// Why there is not one partition of a label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FindError {
    /// None has it.
    None,
    /// Several have it.
    Several,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no partition has that label",
            Self::Several => "several partitions have that label",
        })
    }
}

impl Table {
    /// Reads the table of a disk, the backup if the primary one is damaged.
    ///
    /// # Errors
    ///
    /// [`GptError`] of the primary table, if the backup is no better.
    pub fn read(disk: &mut dyn ReadAt) -> Result<Self, GptError> {
        let bytes = disk.block_bytes();
        let block = BlockSize::new(bytes).ok_or(GptError::Shape)?;
        if bytes > MOST_BLOCK_BYTES || !bytes.is_power_of_two() {
            return Err(GptError::Shape);
        }
        let blocks = disk.bytes() / block.to_u64();
        if blocks < LEAST_BLOCKS {
            return Err(GptError::Shape);
        }
        let mut io = Disk::new(Blocks { disk, block, blocks }).map_err(error)?;
        let mut read = |copy, lba| read_copy(&mut io, block, blocks, copy, lba);
        match read(Copy::Primary, 1) {
            Ok(table) => Ok(table),
            Err(primary) => read(Copy::Backup(primary), blocks - 1).map_err(|_| primary),
        }
    }

    /// The partition of that label.
    ///
    /// # Errors
    ///
    /// [`FindError`] if it is not exactly one.
    pub fn by_label(&self, label: &str) -> Result<&Partition, FindError> {
        let mut found = self.partitions.iter().filter(|partition| partition.label == label);
        match (found.next(), found.next()) {
            (Some(partition), None) => Ok(partition),
            (None, _) => Err(FindError::None),
            (Some(_), Some(_)) => Err(FindError::Several),
        }
    }
}

/// Reads the copy whose header is at `lba`.
fn read_copy(
    io: &mut Disk<Blocks<'_>>,
    block: BlockSize,
    blocks: u64,
    copy: Copy,
    lba: u64,
) -> Result<Table, GptError> {
    let mut buf = room(block.to_usize().ok_or(GptError::Shape)?)?;
    let header = io.read_gpt_header(Lba(lba), &mut buf).map_err(error)?;
    let layout = check_header(&header, block, blocks, lba)?;
    let bytes = layout.num_bytes_rounded_to_block_as_usize(block).ok_or(GptError::TooLarge)?;
    if bytes > MOST_ARRAY_BYTES {
        return Err(GptError::TooLarge);
    }
    let mut buf = room(bytes)?;
    let array = io.read_gpt_partition_entry_array(layout, &mut buf).map_err(error)?;
    if array.calculate_crc32() != { header.partition_entry_array_crc32 } {
        return Err(GptError::Entries);
    }
    let usable = (header.first_usable_lba.to_u64(), header.last_usable_lba.to_u64());
    let partitions = partitions(&array, layout.num_entries, usable, block)?;
    Ok(Table { disk: header.disk_guid, copy, partitions })
}

/// What UEFI 2.10, 5.3.2 asks to be checked, and that the array and the usable blocks are on the disk.
fn check_header(
    header: &GptHeader,
    block: BlockSize,
    blocks: u64,
    lba: u64,
) -> Result<GptPartitionEntryArrayLayout, GptError> {
    if !header.is_signature_valid() {
        return Err(GptError::NoTable);
    }
    let first_usable = header.first_usable_lba.to_u64();
    let last_usable = header.last_usable_lba.to_u64();
    if header.header_size.to_u32() != HEADER_BYTES
        || { header.header_crc32 } != header.calculate_header_crc32()
        || header.my_lba.to_u64() != lba
        || first_usable > last_usable
        || last_usable >= blocks
    {
        return Err(GptError::Header);
    }
    let layout = header.get_partition_entry_array_layout().map_err(|_| GptError::Header)?;
    let count = layout.num_blocks(block).ok_or(GptError::TooLarge)?;
    let first = layout.start_lba.to_u64();
    let end = first.checked_add(count).ok_or(GptError::Header)?;
    // Usable blocks are for partitions alone.
    let is_among_usable = first <= last_usable && first_usable < end;
    if first < 1 || end > blocks || is_among_usable {
        return Err(GptError::Header);
    }
    Ok(layout)
}

fn partitions(
    array: &GptPartitionEntryArray<'_>,
    count: u32,
    usable: (u64, u64),
    block: BlockSize,
) -> Result<Vec<Partition>, GptError> {
    let mut partitions: Vec<Partition> = Vec::new();
    for index in 0..count {
        let Some(entry) = array.get_partition_entry(index) else { break };
        if !entry.is_used() {
            continue;
        }
        let number = index + 1;
        let range = range_of(entry, usable, block).ok_or(GptError::Outside(number))?;
        // At most `MOST_ARRAY_BYTES` of entries: comparing all with all is bounded.
        if let Some(other) = partitions.iter().find(|other| other.range.overlaps(range)) {
            return Err(GptError::Overlap(other.number, number));
        }
        let name = entry.name;
        partitions.push(Partition {
            number,
            label: name.chars().collect(),
            kind: entry.partition_type_guid.0,
            guid: entry.unique_partition_guid,
            range,
        });
    }
    Ok(partitions)
}

fn range_of(
    entry: &GptPartitionEntry,
    usable: (u64, u64),
    block: BlockSize,
) -> Option<SectorRange> {
    let blocks = entry.lba_range()?;
    let (first, last) = (blocks.start().to_u64(), blocks.end().to_u64());
    if first < usable.0 || last > usable.1 {
        return None;
    }
    let sectors = block.to_u64() / SECTOR_BYTES;
    // Both are on the disk, whose bytes are a 64-bit number.
    SectorRange::new(first.checked_mul(sectors)?, (last - first + 1).checked_mul(sectors)?)
}

fn room(bytes: usize) -> Result<Vec<u8>, GptError> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| GptError::Disk(DiskError::NoSpace))?;
    room.resize(bytes, 0);
    Ok(room)
}

fn error(error: gpt_disk_io::DiskError<DiskError>) -> GptError {
    match error {
        gpt_disk_io::DiskError::Io(error) => GptError::Disk(error),
        gpt_disk_io::DiskError::BufferTooSmall
        | gpt_disk_io::DiskError::Overflow
        | gpt_disk_io::DiskError::BlockSizeSmallerThanPartitionEntry => GptError::Shape,
    }
}

/// The disk as the crate sees it.
struct Blocks<'a> {
    disk: &'a mut dyn ReadAt,
    block: BlockSize,
    blocks: u64,
}

impl BlockIo for Blocks<'_> {
    type Error = DiskError;

    fn block_size(&self) -> BlockSize {
        self.block
    }

    fn num_blocks(&mut self) -> Result<u64, DiskError> {
        Ok(self.blocks)
    }

    fn read_blocks(&mut self, start: Lba, buf: &mut [u8]) -> Result<(), DiskError> {
        let offset =
            start.to_u64().checked_mul(self.block.to_u64()).ok_or(DiskError::OutOfRange)?;
        self.disk.read_at(offset, buf)
    }

    fn write_blocks(&mut self, _: Lba, _: &[u8]) -> Result<(), DiskError> {
        Err(DiskError::ReadOnly)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
