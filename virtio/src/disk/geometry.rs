//! What a disk is like, as its client is told.

use super::{DiskError, Operation, SECTOR_BYTES, SectorRange};

/// What may be done with a disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// To read it.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// When a write is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cache {
    /// When it has ended: there is nothing to flush.
    WriteThrough,
    /// When a flush that was submitted later has ended.
    WriteBack,
}

/// The limits of a command that has sectors, but no data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The longest range that one request may have, in sectors. Not zero.
    pub sectors: u32,
    /// What a range should begin and end with, in sectors. Not zero.
    pub alignment_sectors: u32,
}

/// What a disk is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Geometry {
    /// Its capacity.
    pub sectors: u64,
    /// Bytes of a block, the unit of reads and writes: a power of two, at least a sector.
    pub block_bytes: u32,
    /// How many blocks are one block of the medium, as a power of two.
    pub physical_exponent: u8,
    /// The shortest length that is fast, in blocks; 0 if that is not known.
    pub minimum_blocks: u16,
    /// The best length, in blocks; 0 if that is not known.
    pub optimal_blocks: u32,
    /// Whether it may be written.
    pub access: Access,
    /// Whether flushes are needed.
    pub cache: Cache,
    /// The limits of [`Operation::Discard`], if the disk can do it.
    pub discard: Option<Limits>,
    /// The limits of [`Operation::WriteZeroes`], if the disk can do it.
    pub write_zeroes: Option<Limits>,
}

impl Geometry {
    /// Whether the disk has what `operation` asks for, and can do it.
    ///
    /// # Errors
    ///
    /// [`DiskError`], and the operation must not be done.
    pub fn check(&self, operation: &Operation) -> Result<SectorRange, DiskError> {
        let range = operation.range().ok_or(DiskError::Unaligned)?;
        let wanted = if operation.is_change() { Access::ReadWrite } else { Access::ReadOnly };
        let limits = match operation {
            Operation::Flush => return Ok(range),
            Operation::Read { .. } | Operation::Write { .. } => None,
            Operation::Discard(_) => Some(self.discard.ok_or(DiskError::Unsupported)?),
            Operation::WriteZeroes(..) => Some(self.write_zeroes.ok_or(DiskError::Unsupported)?),
        };
        if limits.is_some_and(|limits| range.count() > u64::from(limits.sectors)) {
            return Err(DiskError::OutOfRange);
        }
        self.check_range(range, wanted)
    }

    /// Whether the disk has these sectors, for that kind of access.
    ///
    /// # Errors
    ///
    /// [`DiskError`], and they must not be accessed.
    pub fn check_range(
        &self,
        range: SectorRange,
        wanted: Access,
    ) -> Result<SectorRange, DiskError> {
        if wanted == Access::ReadWrite && self.access == Access::ReadOnly {
            return Err(DiskError::ReadOnly);
        }
        if !range.is_within(self.sectors) {
            return Err(DiskError::OutOfRange);
        }
        if !range.is_aligned(self.block_bytes) {
            return Err(DiskError::Unaligned);
        }
        Ok(range)
    }

    /// Its capacity in bytes, the largest number if that is larger.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.sectors.saturating_mul(SECTOR_BYTES)
    }
}
