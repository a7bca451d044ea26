//! Tables, whole, damaged and hostile.

use super::*;
use gpt_disk_io::gpt_disk_types::{Crc32, GptPartitionType, LbaLe, U32Le, guid};
use gpt_disk_io::{BlockIoAdapter, gpt_disk_types::GptPartitionEntrySize};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};

struct Bytes {
    bytes: Vec<u8>,
    block: u32,
    reads: usize,
}

impl ReadAt for Bytes {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn block_bytes(&self) -> u32 {
        self.block
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.reads += buf.len();
        let start = offset as usize;
        let end = start.checked_add(buf.len()).ok_or(DiskError::OutOfRange)?;
        buf.copy_from_slice(self.bytes.get(start..end).ok_or(DiskError::OutOfRange)?);
        Ok(())
    }
}

const BLOCKS: u64 = 400;

/// A disk with these partitions: label, first block, last block. `change` spoils the header before it is summed up.
fn disk(block: BlockSize, parts: &[(&str, u64, u64)], change: impl Fn(&mut GptHeader)) -> Bytes {
    let mut bytes = vec![0; (BLOCKS * block.to_u64()) as usize];
    {
        let mut disk = Disk::new(BlockIoAdapter::new(bytes.as_mut_slice(), block)).unwrap();
        let mut buf = vec![0; block.to_usize().unwrap()];
        disk.write_protective_mbr(&mut buf).unwrap();
        for (lba, array) in [(1, 2), (BLOCKS - 1, BLOCKS - 33)] {
            let mut header = GptHeader {
                my_lba: LbaLe::from_u64(lba),
                alternate_lba: LbaLe::from_u64(BLOCKS - lba),
                first_usable_lba: LbaLe::from_u64(34),
                last_usable_lba: LbaLe::from_u64(BLOCKS - 34),
                partition_entry_lba: LbaLe::from_u64(array),
                number_of_partition_entries: U32Le::from_u32(128),
                disk_guid: guid!("57a7feb6-8cd5-4922-b7bd-c78b0914e870"),
                ..GptHeader::default()
            };
            let layout = GptPartitionEntryArrayLayout {
                start_lba: Lba(array),
                entry_size: GptPartitionEntrySize::default(),
                num_entries: 128,
            };
            let mut buf_array = vec![0; layout.num_bytes_rounded_to_block_as_usize(block).unwrap()];
            let mut entries = GptPartitionEntryArray::new(layout, block, &mut buf_array).unwrap();
            for (index, (label, first, last)) in parts.iter().enumerate() {
                *entries.get_partition_entry_mut(2 * index as u32).unwrap() = GptPartitionEntry {
                    partition_type_guid: GptPartitionType::BASIC_DATA,
                    unique_partition_guid: guid!("37c75ffd-8932-467a-9c56-8cf1f0456b12"),
                    starting_lba: LbaLe::from_u64(*first),
                    ending_lba: LbaLe::from_u64(*last),
                    name: label.parse().unwrap(),
                    ..GptPartitionEntry::default()
                };
            }
            header.partition_entry_array_crc32 = entries.calculate_crc32();
            change(&mut header);
            header.update_header_crc32();
            disk.write_gpt_partition_entry_array(&entries).unwrap();
            disk.write_gpt_header(Lba(lba), &header, &mut buf).unwrap();
        }
    }
    Bytes { bytes, block: block.to_u32(), reads: 0 }
}

fn good() -> Bytes {
    disk(BlockSize::BS_512, &[("root", 40, 99), ("daten-ü", 100, 100)], |_| {})
}

fn with_header(change: impl Fn(&mut GptHeader)) -> Result<Table, GptError> {
    Table::read(&mut disk(BlockSize::BS_512, &[("root", 40, 99)], change))
}

#[test]
fn partitions_are_found_by_their_label() {
    let table = Table::read(&mut good()).unwrap();
    assert_eq!(table.copy, Copy::Primary);
    let root = table.by_label("root").unwrap();
    assert_eq!((root.number, root.range), (1, SectorRange::new(40, 60).unwrap()));
    let other = table.by_label("daten-ü").unwrap();
    assert_eq!((other.number, other.range), (3, SectorRange::new(100, 1).unwrap()));
    assert_eq!(table.by_label("roo"), Err(FindError::None));
    assert_eq!(table.by_label(""), Err(FindError::None));
}

#[test]
fn a_label_that_several_have_is_nobodys() {
    let parts = [("a", 40, 50), ("a", 60, 70)];
    let table = Table::read(&mut disk(BlockSize::BS_512, &parts, |_| {})).unwrap();
    assert_eq!(table.by_label("a"), Err(FindError::Several));
}

#[test]
fn blocks_of_four_kibibytes_are_eight_sectors() {
    let table = Table::read(&mut disk(BlockSize::BS_4096, &[("root", 40, 99)], |_| {})).unwrap();
    assert_eq!(table.by_label("root").unwrap().range, SectorRange::new(320, 480).unwrap());
}

#[test]
fn the_backup_is_used_if_the_primary_table_is_damaged() {
    let mut disk = good();
    let partitions = Table::read(&mut disk).unwrap().partitions;
    disk.bytes[1024 + 56] ^= 1;
    let table = Table::read(&mut disk).unwrap();
    assert_eq!((table.copy, table.partitions), (Copy::Backup(GptError::Entries), partitions));
    disk.bytes[512 + 16] ^= 1;
    assert_eq!(Table::read(&mut disk).unwrap().copy, Copy::Backup(GptError::Header));
    disk.bytes[512..1024].fill(0);
    assert_eq!(Table::read(&mut disk).unwrap().copy, Copy::Backup(GptError::NoTable));
    let backup = disk.bytes.len() - 512;
    disk.bytes[backup + 16] ^= 1;
    assert_eq!(Table::read(&mut disk), Err(GptError::NoTable));
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let lba = LbaLe::from_u64;
    assert!(with_header(|_| {}).is_ok());
    type Change = fn(&mut GptHeader, fn(u64) -> LbaLe);
    let changes: [Change; 9] = [
        |header, lba| header.my_lba = lba(7),
        |header, lba| header.last_usable_lba = lba(BLOCKS),
        |header, lba| header.last_usable_lba = lba(u64::MAX),
        |header, lba| header.first_usable_lba = lba(BLOCKS),
        |header, lba| header.partition_entry_lba = lba(0),
        |header, lba| header.partition_entry_lba = lba(u64::MAX),
        |header, lba| header.partition_entry_lba = lba(40),
        |header, _| header.header_size = U32Le::from_u32(91),
        |header, _| header.size_of_partition_entry = U32Le::from_u32(100),
    ];
    for (index, change) in changes.iter().enumerate() {
        assert_eq!(with_header(|header| change(header, lba)), Err(GptError::Header), "{index}");
    }
    let spoiled = with_header(|header| header.partition_entry_array_crc32 = Crc32::default());
    assert_eq!(spoiled, Err(GptError::Entries));
}

#[test]
fn a_table_never_takes_more_memory_than_is_set() {
    for (count, size) in [(u32::MAX, 128), (1 << 20, 128), (128, 1 << 31), (u32::MAX, 1 << 31)] {
        let mut disk = disk(BlockSize::BS_512, &[], |header| {
            header.number_of_partition_entries = U32Le::from_u32(count);
            header.size_of_partition_entry = U32Le::from_u32(size);
        });
        assert!(Table::read(&mut disk).is_err());
        assert!(disk.reads <= 2 * (512 + MOST_ARRAY_BYTES));
    }
}

#[test]
fn partitions_stay_inside_and_apart() {
    let read = |parts: &[_]| Table::read(&mut disk(BlockSize::BS_512, parts, |_| {}));
    assert_eq!(read(&[("a", 33, 50)]), Err(GptError::Outside(1)));
    assert_eq!(read(&[("a", 50, BLOCKS - 33)]), Err(GptError::Outside(1)));
    assert_eq!(read(&[("a", 50, 49)]), Err(GptError::Outside(1)));
    assert_eq!(read(&[("a", 50, u64::MAX)]), Err(GptError::Outside(1)));
    assert_eq!(read(&[("a", 50, 60), ("b", 60, 70)]), Err(GptError::Overlap(1, 3)));
}

#[test]
fn disks_without_room_or_with_odd_blocks_have_no_table() {
    for (len, block) in [
        (0, 512),
        (512, 512),
        (4 * 512, 512),
        (1 << 20, 0),
        (1 << 20, 100),
        (1 << 20, 1 << 30),
        (1 << 20, 768),
    ] {
        let mut disk = Bytes { bytes: vec![0; len], block, reads: 0 };
        assert_eq!(Table::read(&mut disk), Err(GptError::Shape));
    }
    let mut disk = Bytes { bytes: vec![0; 1 << 20], block: 512, reads: 0 };
    assert_eq!(Table::read(&mut disk), Err(GptError::NoTable));
}

proptest! {
    #[test]
    fn any_damage_gives_an_error_or_partitions_that_are_inside(
        damage in vec((0..40 * 512usize, any::<u8>()), 0..20),
        also_backup: bool,
    ) {
        let mut disk = good();
        let len = disk.bytes.len();
        for (at, value) in damage {
            disk.bytes[at] = value;
            if also_backup {
                disk.bytes[len - 1 - at] = value;
            }
        }
        if let Ok(table) = Table::read(&mut disk) {
            for partition in table.partitions {
                prop_assert!(partition.range.is_within(BLOCKS));
            }
        }
    }

    #[test]
    fn any_entries_with_a_right_sum_give_an_error_or_partitions_apart(
        parts in vec((any::<u64>(), any::<u64>()), 0..4), small in vec((0..BLOCKS, 0..BLOCKS), 0..4),
    ) {
        let parts: Vec<_> = parts.into_iter().chain(small).map(|(first, last)| ("x", first, last)).collect();
        if let Ok(table) = Table::read(&mut disk(BlockSize::BS_512, &parts, |_| {})) {
            for one in &table.partitions {
                prop_assert!(one.range.start() >= 34 && one.range.is_within(BLOCKS - 33));
                let others = table.partitions.iter().filter(|other| other.number != one.number);
                prop_assert!(others.into_iter().all(|other| !other.range.overlaps(one.range)));
            }
        }
    }
}
