//! Disks with a GUID partition table (UEFI 2.10, 5.2.3 and 5.3), so that no tool for partitions is needed, nor root.
//!
//! Reproducible: GUIDs are made from the numbers of the partitions. A file is sparse where nothing was put.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use crate::Error;

/// Bytes of a sector.
pub const SECTOR_BYTES: u64 = 512;
/// Partitions begin at multiples of this.
const ALIGNMENT_BYTES: u64 = 1 << 20;
const ENTRY_BYTES: usize = 128;
const ENTRIES: usize = 128;
const ARRAY_SECTORS: u64 = (ENTRY_BYTES * ENTRIES) as u64 / SECTOR_BYTES;
/// The part of a header that is summed up.
const HEADER_BYTES: usize = 92;
/// `0FC63DAF-8483-4772-8E79-3D69D8477DE4`, a file system of Linux, as it is stored.
const LINUX_DATA: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// A table: which partition is where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    partitions: Vec<(String, Range<u64>)>,
}

impl Table {
    /// A table without partitions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more partition behind the last one, with at least so many bytes.
    #[must_use]
    pub fn partition(mut self, label: &str, bytes: u64) -> Self {
        let start = self.end_bytes();
        let end = start + bytes.next_multiple_of(ALIGNMENT_BYTES);
        self.partitions.push((label.into(), start..end));
        self
    }

    /// Where the partition of this label is, in bytes.
    #[must_use]
    pub fn place(&self, label: &str) -> Option<Range<u64>> {
        let mut matching = self.partitions.iter().filter(|(of, _)| of == label);
        matching.next().map(|(_, place)| place.clone())
    }

    /// How large a disk with it is: the last mebibyte has the table's copy.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.end_bytes() + ALIGNMENT_BYTES
    }

    /// Makes a file of a disk with it, all zeroes otherwise.
    ///
    /// # Errors
    /// When there are too many partitions, a label is too long, or the file cannot be written.
    pub fn create(&self, path: &Path) -> Result<File, Error> {
        let name = path.display().to_string();
        let head = self.head()?;
        let tail = self.tail()?;
        let write = || -> io::Result<File> {
            let mut file = File::create(path)?;
            file.set_len(self.disk_bytes())?;
            file.write_all(&head)?;
            file.seek(SeekFrom::Start(self.disk_bytes() - tail.len() as u64))?;
            file.write_all(&tail)?;
            Ok(file)
        };
        write().map_err(|error| Error::io(&name, &error))
    }

    /// The disk's first sectors: the protective MBR, the header, the entries.
    ///
    /// # Errors
    /// When there are too many partitions, or a label is too long.
    pub fn head(&self) -> Result<Vec<u8>, Error> {
        let array = self.array()?;
        let mut bytes = self.protective_mbr();
        bytes.extend(self.header(1, self.sectors() - 1, 2, &array));
        bytes.extend(array);
        Ok(bytes)
    }

    /// The disk's last sectors: the entries, the header.
    ///
    /// # Errors
    /// As for [`Table::head`].
    pub fn tail(&self) -> Result<Vec<u8>, Error> {
        let array = self.array()?;
        let last = self.sectors() - 1;
        let header = self.header(last, 1, last - ARRAY_SECTORS, &array);
        let mut bytes = array;
        bytes.extend(header);
        Ok(bytes)
    }

    fn end_bytes(&self) -> u64 {
        self.partitions.last().map_or(ALIGNMENT_BYTES, |(_, place)| place.end)
    }

    fn sectors(&self) -> u64 {
        self.disk_bytes() / SECTOR_BYTES
    }

    /// One partition of a kind that old tools leave alone, over all of the disk (5.2.3).
    fn protective_mbr(&self) -> Vec<u8> {
        let sectors = u32::try_from(self.sectors() - 1).unwrap_or(u32::MAX);
        let mut bytes = vec![0; 446];
        bytes.extend([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(sectors.to_le_bytes());
        bytes.resize(510, 0);
        bytes.extend([0x55, 0xaa]);
        bytes
    }

    /// A header at sector `here`, whose copy is at `other` and whose entries begin at `entries` (5.3.2).
    fn header(&self, here: u64, other: u64, entries: u64, array: &[u8]) -> Vec<u8> {
        let first_usable = 2 + ARRAY_SECTORS;
        let last_usable = self.sectors() - 2 - ARRAY_SECTORS;
        let build = |sum: u32| {
            let mut bytes = b"EFI PART".to_vec();
            for word in [0x1_0000, HEADER_BYTES as u32, sum, 0] {
                bytes.extend(word.to_le_bytes());
            }
            for long in [here, other, first_usable, last_usable] {
                bytes.extend(long.to_le_bytes());
            }
            bytes.extend(guid(0));
            bytes.extend(entries.to_le_bytes());
            for word in [ENTRIES as u32, ENTRY_BYTES as u32, crc32fast::hash(array)] {
                bytes.extend(word.to_le_bytes());
            }
            bytes
        };
        // It is summed up with zero in the sum's place.
        let mut bytes = build(crc32fast::hash(&build(0)));
        bytes.resize(SECTOR_BYTES as usize, 0);
        bytes
    }

    /// The entries (5.3.3).
    fn array(&self) -> Result<Vec<u8>, Error> {
        if self.partitions.len() > ENTRIES {
            let count = self.partitions.len();
            return Err(Error::new(format!("{count} partitions: a disk has up to {ENTRIES}")));
        }
        let mut array = Vec::with_capacity(ENTRY_BYTES * ENTRIES);
        for ((label, place), number) in self.partitions.iter().zip(1..) {
            let label_bytes: Vec<u8> = label.encode_utf16().flat_map(u16::to_le_bytes).collect();
            if label_bytes.len() > 72 {
                return Err(Error::new(format!("{label}: a partition's label has up to 36 units")));
            }
            array.extend(LINUX_DATA);
            array.extend(guid(number));
            array.extend((place.start / SECTOR_BYTES).to_le_bytes());
            array.extend((place.end / SECTOR_BYTES - 1).to_le_bytes());
            array.extend(0_u64.to_le_bytes());
            array.extend(label_bytes);
            array.resize(ENTRY_BYTES * number as usize, 0);
        }
        array.resize(ENTRY_BYTES * ENTRIES, 0);
        Ok(array)
    }
}

/// Of the disk (0), and of each partition: random ones would differ each time. Of version 8, whose content is anybody's own
/// (RFC 9562, 5.8): the version is in the eighth byte as it is stored, the variant in the ninth.
fn guid(number: u32) -> [u8; 16] {
    let mut bytes = *b"Roost..\x80\x80...\0\0\0\0";
    for (place, byte) in bytes.iter_mut().rev().zip(number.to_le_bytes()) {
        *place = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new().partition("one", 3 << 20).partition("two", 1)
    }

    #[test]
    fn partitions_follow_each_other_at_whole_mebibytes() {
        let table = table();
        assert_eq!(table.place("one"), Some(1 << 20..4 << 20));
        assert_eq!(table.place("two"), Some(4 << 20..5 << 20));
        assert_eq!(table.place("three"), None);
        assert_eq!(table.disk_bytes(), 6 << 20);
    }

    #[test]
    fn both_headers_are_what_their_sums_say_and_name_each_other() {
        let table = table();
        let (head, tail) = (table.head().unwrap(), table.tail().unwrap());
        let field =
            |header: &[u8], at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
        let (primary, backup) = (&head[512..1024], &tail[tail.len() - 512..]);
        for header in [primary, backup] {
            assert_eq!(&header[..8], b"EFI PART");
            let mut summed = header[..HEADER_BYTES].to_vec();
            summed[16..20].fill(0);
            assert_eq!(crc32fast::hash(&summed).to_le_bytes(), header[16..20]);
        }
        assert_eq!(field(primary, 24), field(backup, 32));
        assert_eq!(field(primary, 32), field(backup, 24));
        assert_eq!(head[1024..], tail[..tail.len() - 512]);
    }

    #[test]
    fn what_no_table_can_say_is_an_error() {
        assert!(Table::new().partition(&"x".repeat(37), 1).head().is_err());
        let many = (0..129).fold(Table::new(), |table, _| table.partition("p", 1));
        assert!(many.tail().is_err());
    }
}
