//! Disks in memory against a model.

use super::super::testing::{Client, HeapPages};
use super::super::{DiskError, Operation, Unmap};
use super::*;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::sync::Arc;

const SECTORS: u64 = 100;

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u64, u64),
    Write(u64, u64, u8),
    Discard(u64, u64),
    Zeroes(u64, u64, bool),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..SECTORS, 0..40u64).prop_map(|(at, count)| (at, count.min(SECTORS - at)));
    prop_oneof![
        3 => range().prop_map(|(at, count)| Step::Read(at, count)),
        3 => (range(), 1..=255u8).prop_map(|((at, count), fill)| Step::Write(at, count, fill)),
        1 => range().prop_map(|(at, count)| Step::Discard(at, count)),
        1 => (range(), any::<bool>()).prop_map(|((at, count), unmap)| Step::Zeroes(at, count, unmap)),
        1 => proptest::prelude::Just(Step::Flush),
    ]
}

fn bytes(at: u64, count: u64) -> std::ops::Range<usize> {
    (at * SECTOR_BYTES) as usize..((at + count) * SECTOR_BYTES) as usize
}

fn run(client: &mut Client, model: &mut [u8], steps: &[Step]) {
    for step in steps {
        match *step {
            Step::Read(at, count) => {
                let read = client.now(client.read(at, count)).unwrap().unwrap();
                assert!(*read == model[bytes(at, count)], "{step:?}");
            }
            Step::Write(at, count, fill) => {
                client.now(client.write(at, count, fill)).unwrap();
                model[bytes(at, count)].fill(fill);
            }
            Step::Discard(at, count) => {
                client.now(Client::discard(at, count)).unwrap();
                model[bytes(at, count)].fill(0);
            }
            Step::Zeroes(at, count, unmap) => {
                let unmap = if unmap { Unmap::Allowed } else { Unmap::Refused };
                client.now(Client::zeroes(at, count, unmap)).unwrap();
                model[bytes(at, count)].fill(0);
            }
            Step::Flush => drop(client.now(Operation::Flush).unwrap()),
        }
    }
    for at in 0..SECTORS {
        assert!(*client.now(client.read(at, 1)).unwrap().unwrap() == model[bytes(at, 1)]);
    }
}

proptest! {
    #[test]
    fn a_ram_disk_holds_what_was_written(steps in vec(step(), 0..60)) {
        let store = HeapPages::new(100);
        let disk = RamDisk::empty(store.clone(), SECTORS).unwrap();
        let mut client = Client::new(Arc::new(disk));
        run(&mut client, &mut vec![0; (SECTORS * SECTOR_BYTES) as usize], &steps);
        drop(client);
        prop_assert_eq!(store.used(), 0);
    }

    #[test]
    fn writing_never_touches_the_image(steps in vec(step(), 0..60), len in 0..60_000usize, fill in 1..=255u8) {
        let image: &'static [u8] = vec![fill; len].leak();
        let disk = Overlay::with_image(HeapPages::new(100), image, SECTORS).unwrap();
        let mut client = Client::new(Arc::new(disk));
        let mut model = vec![0; (SECTORS * SECTOR_BYTES) as usize];
        let seen = len.min(model.len());
        model[..seen].fill(fill);
        run(&mut client, &mut model, &steps);
        prop_assert!(image.iter().all(|byte| *byte == fill));
    }
}

#[test]
fn what_one_disk_had_is_never_in_another() {
    let store = HeapPages::new(16);
    for round in 0..4 {
        let disk = RamDisk::empty(store.clone(), 128).unwrap();
        let mut client = Client::new(Arc::new(disk));
        // One sector of each page: the rest of it has to be empty.
        for page in 0..16 {
            client.now(client.write(page * PAGE_SECTORS, 1, 0x50 + round)).unwrap();
            let rest = client.now(client.read(page * PAGE_SECTORS + 1, PAGE_SECTORS - 1));
            assert!(rest.unwrap().unwrap().iter().all(|byte| *byte == 0));
        }
    }
}

#[test]
fn discarded_pages_go_back_to_the_store() {
    let store = HeapPages::new(16);
    let disk = Arc::new(RamDisk::empty(store.clone(), 128).unwrap());
    let mut client = Client::new(Arc::clone(&disk) as Arc<dyn Disk>);
    client.now(client.write(0, 64, 1)).unwrap();
    assert_eq!(disk.usage().bytes, 8 * PAGE_BYTES as u64);
    client.now(Client::discard(4, 32)).unwrap();
    // The first page and the last are only partly discarded.
    assert_eq!(store.used(), 5);
    client.now(Client::zeroes(0, 64, Unmap::Refused)).unwrap();
    assert_eq!(store.used(), 5, "storage is kept");
    client.now(Client::zeroes(0, 128, Unmap::Allowed)).unwrap();
    assert_eq!(store.used(), 0);
    assert_eq!(disk.usage().bytes, 0);
}

#[test]
fn a_full_store_is_an_error_of_the_write() {
    let disk = RamDisk::empty(HeapPages::new(2), 128).unwrap();
    let mut client = Client::new(Arc::new(disk));
    assert_eq!(client.now(client.write(0, 32, 1)).unwrap_err(), DiskError::NoSpace);
    assert!(client.now(client.read(0, 32)).is_ok());
    assert!(client.now(client.write(8, 8, 1)).is_ok(), "pages that are there can be written");
}

#[test]
fn what_is_outside_or_not_allowed_is_refused() {
    let image: &'static [u8] = &[7; 1000];
    let disk = Overlay::new(HeapPages::new(8), image).unwrap().read_only();
    let mut client = Client::new(Arc::new(disk));
    assert_eq!(client.disk.geometry().sectors, 2, "the last sector is filled up");
    assert_eq!(client.now(client.write(0, 1, 1)).unwrap_err(), DiskError::ReadOnly);
    assert_eq!(client.now(Client::discard(0, 1)).unwrap_err(), DiskError::ReadOnly);
    assert_eq!(client.now(client.read(2, 1)).unwrap_err(), DiskError::OutOfRange);
    assert_eq!(client.now(client.read(u64::MAX, 1)).unwrap_err(), DiskError::Unaligned);
    let last = client.now(client.read(1, 1)).unwrap().unwrap();
    assert!(last[..488].iter().all(|byte| *byte == 7) && last[488..].iter().all(|byte| *byte == 0));
    assert!(RamDisk::empty(HeapPages::new(1), u64::MAX).is_err());
}

#[test]
fn what_is_transferred_without_a_buffer_is_what_requests_see() {
    let image: &'static [u8] = &[7; 5000];
    let disk = Overlay::with_image(HeapPages::new(16), image, SECTORS).unwrap();
    let read = |sector, bytes| {
        let mut found = Vec::new();
        let mut take = |data: &[u8]| {
            found.extend_from_slice(data);
            Ok(())
        };
        disk.transfer(sector, bytes, Transfer::Read(&mut take)).unwrap().map(|()| found)
    };
    let mut number = 0_u8;
    let mut fill = |place: &mut [u8]| {
        place.iter_mut().for_each(|byte| {
            *byte = number;
            number = number.wrapping_add(1);
        });
        Ok(())
    };
    disk.transfer(3, 6 * 512, Transfer::Write(&mut fill)).unwrap().unwrap();
    let mut wanted = vec![7; 3 * 512];
    wanted.extend((0..6 * 512).map(|index| index as u8));
    wanted.extend([7; 5000 - 9 * 512]);
    wanted.resize(20 * 512, 0);
    assert_eq!(read(0, 20 * 512).unwrap(), wanted);

    assert_eq!(read(SECTORS, 512).unwrap_err(), DiskError::OutOfRange);
    assert_eq!(read(u64::MAX, 512).unwrap_err(), DiskError::Unaligned);
    assert_eq!(read(0, 511).unwrap_err(), DiskError::Unaligned);
    let mut fail = |_: &mut [u8]| Err(DiskError::Cancelled);
    let failed = disk.transfer(0, 512, Transfer::Write(&mut fail)).unwrap();
    assert_eq!(failed.unwrap_err(), DiskError::Cancelled);
    assert_eq!(read(0, 20 * 512).unwrap(), wanted, "what failed has changed nothing");

    let disk = disk.read_only();
    let refused = disk.transfer(0, 512, Transfer::Write(&mut fail)).unwrap();
    assert_eq!(refused.unwrap_err(), DiskError::ReadOnly);
    let mut client = Client::new(Arc::new(disk));
    assert_eq!(*client.now(client.read(0, 20)).unwrap().unwrap(), wanted);
}
