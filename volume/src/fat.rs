//! FAT12, FAT16 and FAT32 (Microsoft, FAT32 File System Specification, version 1.03): boot sector, chains, directories.
//!
//! ```text
//!   boot sector, reserved │ FAT │ FAT │ root (FAT12, FAT16) │ clusters 2, 3, ...
//! ```

mod chain;
mod names;

use super::file_system::{self, Entry, Handle, Kind};
use super::{FileMap, VolumeError, number};
use alloc::vec::Vec;
use chain::Table;
use virtio::disk::reader::ReadAt;

const SECTOR_BYTES: usize = 512;
const ENTRY_BYTES: usize = 32;
/// The cluster that stands for the root directory of FAT12 and FAT16, which is in none.
const FIXED_ROOT: u32 = 0;
/// A directory has no length: more of its chain than this is not followed.
const MOST_DIRECTORY_BYTES: u64 = 1 << 20;

/// How wide the entries of the table are: that depends on nothing but the number of clusters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Width {
    Bits12,
    Bits16,
    Bits32,
}

/// What the boot sector says.
#[derive(Clone, Debug)]
pub struct Fat {
    width: Width,
    /// Where the first table is, and how long it is.
    table_at: u64,
    table_bytes: u64,
    /// The root directory of FAT12 and FAT16.
    root_at: u64,
    root_bytes: u64,
    /// The root directory of FAT32.
    root_cluster: u32,
    /// Where cluster 2 is.
    data_at: u64,
    cluster_bytes: u64,
    clusters: u32,
}

/// Attributes of a directory's entry.
mod attribute {
    pub(super) const LABEL: u8 = 1 << 3;
    pub(super) const DIRECTORY: u8 = 1 << 4;
    /// All of read-only, hidden, system and label: a part of a long name.
    pub(super) const LONG_NAME: u8 = 0xf;
}

impl Fat {
    /// Reads the boot sector; `None` if there is none.
    pub(crate) fn open(disk: &mut dyn ReadAt) -> Result<Option<Self>, VolumeError> {
        let mut sector = [0; SECTOR_BYTES];
        if disk.bytes() < SECTOR_BYTES as u64 {
            return Ok(None);
        }
        disk.read_at(0, &mut sector)?;
        let sector_bytes = u64::from(number::half(&sector, 11)?);
        let per_cluster = u64::from(number::byte(&sector, 13)?);
        let reserved = u64::from(number::half(&sector, 14)?);
        let tables = u64::from(number::byte(&sector, 16)?);
        let jumps = matches!(number::byte(&sector, 0)?, 0xe9 | 0xeb);
        if !jumps
            || number::half(&sector, 510)? != 0xaa55
            || !matches!(sector_bytes, 512 | 1024 | 2048 | 4096)
            || !per_cluster.is_power_of_two()
            || reserved == 0
            || !matches!(tables, 1 | 2)
        {
            return Ok(None);
        }
        let wide = |short: usize, long: usize| -> Result<u64, VolumeError> {
            let short = u64::from(number::half(&sector, short)?);
            Ok(if short != 0 { short } else { number::word(&sector, long)?.into() })
        };
        let (total, table_sectors) = (wide(19, 32)?, wide(22, 36)?);
        let root_bytes = u64::from(number::half(&sector, 17)?) * ENTRY_BYTES as u64;
        let root_sector = reserved + tables * table_sectors;
        let data_sector = root_sector + root_bytes.div_ceil(sector_bytes);
        let clusters = total.checked_sub(data_sector).map_or(0, |sectors| sectors / per_cluster);
        if clusters == 0 || total * sector_bytes > disk.bytes() {
            return Err(VolumeError::Damaged("it has no clusters, or more than its partition"));
        }
        let width = match clusters {
            ..4085 => Width::Bits12,
            4085..65525 => Width::Bits16,
            _ => Width::Bits32,
        };
        let is_wide = width == Width::Bits32;
        Ok(Some(Self {
            width,
            table_at: reserved * sector_bytes,
            table_bytes: table_sectors * sector_bytes,
            root_at: root_sector * sector_bytes,
            root_bytes,
            root_cluster: if is_wide { number::word(&sector, 44)? } else { FIXED_ROOT },
            data_at: data_sector * sector_bytes,
            cluster_bytes: per_cluster * sector_bytes,
            // Of 32 bits, of which the table's entries have 28.
            clusters: u32::try_from(clusters).unwrap_or(u32::MAX).min(0x0fff_fff0),
        }))
    }

    pub(crate) fn root(&self) -> Handle {
        Handle { id: self.root_cluster, kind: Kind::Directory, bytes: 0 }
    }

    pub(crate) fn directory_map(
        &self,
        disk: &mut dyn ReadAt,
        directory: &Handle,
    ) -> Result<FileMap, VolumeError> {
        if directory.kind != Kind::Directory {
            return Err(VolumeError::Damaged("a directory is none"));
        }
        if directory.id == FIXED_ROOT {
            let mut map = file_system::map_of(disk, self.root_bytes);
            map.push(Some(self.root_at), self.root_bytes)?;
            return map.finish();
        }
        // The chain says how long it is.
        let mut table = Table::new(self);
        let (mut cluster, mut clusters) = (Some(directory.id), 0);
        while let Some(current) = cluster {
            clusters += 1;
            if clusters * self.cluster_bytes > MOST_DIRECTORY_BYTES {
                return Err(VolumeError::TooLarge("a directory of more than 1 MiB"));
            }
            cluster = table.next(disk, current)?;
        }
        self.chain(disk, directory.id, clusters * self.cluster_bytes)
    }

    pub(crate) fn map(&self, disk: &mut dyn ReadAt, file: &Handle) -> Result<FileMap, VolumeError> {
        self.chain(disk, file.id, file.bytes)
    }

    /// The clusters of so many bytes, from this one on. A loop is as good as any other chain: only as much as there must be
    /// is followed.
    fn chain(&self, disk: &mut dyn ReadAt, first: u32, bytes: u64) -> Result<FileMap, VolumeError> {
        let mut map = file_system::map_of(disk, bytes);
        let mut table = Table::new(self);
        let mut cluster = Some(first);
        while !map.is_full() {
            let current = cluster.ok_or(VolumeError::Damaged("a file ends before its length"))?;
            let index = table.index(current)?;
            map.push(Some(self.data_at + index * self.cluster_bytes), self.cluster_bytes)?;
            if !map.is_full() {
                cluster = table.next(disk, current)?;
            }
        }
        map.finish()
    }

    /// The entries of a directory (page 23 and on).
    pub(crate) fn entries(&self, bytes: &[u8]) -> Result<Vec<Entry>, VolumeError> {
        const END: u8 = 0;
        const FREE: u8 = 0xe5;
        let mut entries = Vec::new();
        let mut long = names::LongName::default();
        for entry in bytes.chunks_exact(ENTRY_BYTES) {
            let (first, attributes) = (number::byte(entry, 0)?, number::byte(entry, 11)?);
            if first == END {
                break;
            }
            if first == FREE {
                long.clear();
                continue;
            }
            if attributes & 0x3f == attribute::LONG_NAME {
                long.take(entry)?;
                continue;
            }
            let name = long.finish(entry)?.or_else(|| names::short(entry));
            let Some(name) = name.filter(|name| !matches!(name.as_str(), "" | "." | "..")) else {
                continue;
            };
            let (high, low) = (number::half(entry, 20)?, number::half(entry, 26)?);
            let high = if self.width == Width::Bits32 { high } else { 0 };
            let kind = match attributes {
                _ if attributes & attribute::LABEL != 0 => Kind::Other,
                _ if attributes & attribute::DIRECTORY != 0 => Kind::Directory,
                _ => Kind::File,
            };
            let id = u32::from(high) << 16 | u32::from(low);
            let bytes = number::word(entry, 28)?.into();
            entries.push(Entry { name, handle: Handle { id, kind, bytes } });
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
