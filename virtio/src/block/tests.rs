//! The device from its driver's side: what it answers to requests, well made and not.

use super::port;
use super::*;
use crate::Fault;
use crate::disk::Access;
use crate::disk::SECTOR_BYTES;
use crate::disk::buffer::PoolSize;
use crate::disk::overlay::{Overlay, RamDisk};
use crate::disk::testing::HeapPages;
use crate::testing::guest::Taste;
use rig::{Rig, header};

mod asynchronous;
mod hostile;
mod lifecycle;
mod model;
mod rig;

const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const NAME: u32 = 8;
const DISCARD: u32 = 11;
const ZEROES: u32 = 13;

const DONE: u8 = 0;
const ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// A guest with a RAM disk of so many sectors.
fn ram_disk(sectors: u64, taste: Taste) -> Rig {
    Rig::new(Arc::new(RamDisk::empty(HeapPages::new(10_000), sectors).unwrap()), 1, taste)
}

fn range(sector: u64, count: u32, flags: u32) -> Vec<u8> {
    let value = u128::from(sector) | u128::from(count) << 64 | u128::from(flags) << 96;
    value.to_le_bytes().to_vec()
}

#[test]
fn what_is_written_is_read_again() {
    let mut rig = ram_disk(1000, Taste::default());
    let data: Vec<u8> = (0..200_704u32).map(|index| (index / 7) as u8).collect();
    assert_eq!(rig.now(WRITE, 3, &data, 0), (DONE, vec![]));
    assert_eq!(rig.now(READ, 3, &[], 200_704), (DONE, data));
    assert_eq!(rig.now(FLUSH, 0, &[], 0), (DONE, vec![]));
    assert_eq!(rig.now(READ, 2, &[], 512), (DONE, vec![0; 512]));
    let counts = rig.counts();
    assert_eq!((counts.reads, counts.writes, counts.flushes, counts.errors), (2, 1, 1, 0));
    assert_eq!((counts.read_bytes, counts.written_bytes), (200_704 + 512, 200_704));
}

#[test]
fn the_disk_has_a_name() {
    let mut rig = ram_disk(8, Taste::default());
    assert_eq!(rig.now(NAME, 0, &[], 20), (DONE, b"roost-disk-0\0\0\0\0\0\0\0\0".to_vec()));
    assert_eq!(rig.now(NAME, 0, &[], 19).0, ERROR);
    let (status, data) = rig.now(NAME, 0, &[], 30);
    assert_eq!((status, &data[20..]), (DONE, &[0xee; 10][..]));
}

#[test]
fn the_length_that_is_reported_has_been_written() {
    let mut rig = ram_disk(8, Taste::default());
    let mut len = |kind, sector, out: &[u8], room| {
        let id = rig.begin(kind, sector, out, room).unwrap();
        rig.take(id).unwrap().len
    };
    assert_eq!(len(READ, 0, &[], 1024), 1025);
    assert_eq!(len(READ, 8, &[], 1024), 0, "nothing but the last byte was written");
    assert_eq!(len(WRITE, 0, &[1; 512], 0), 1);
    assert_eq!(len(WRITE, 0, &[1; 512], 10), 0);
    assert_eq!(len(NAME, 0, &[], 30), 20);
}

#[test]
fn requests_outside_of_the_disk_are_errors() {
    let mut rig = ram_disk(8, Taste::default());
    for sector in [8, 9, 1 << 55, u64::MAX / 512, u64::MAX] {
        assert_eq!(rig.now(READ, sector, &[], 512).0, ERROR);
        assert_eq!(rig.now(WRITE, sector, &[0; 512], 0).0, ERROR);
        assert_eq!(rig.now(DISCARD, 0, &range(sector, 1, 0), 0).0, ERROR);
        assert_eq!(rig.now(ZEROES, 0, &range(sector, 1, 0), 0).0, ERROR);
    }
    assert_eq!(rig.now(READ, 7, &[], 1024).0, ERROR);
    assert_eq!(rig.now(DISCARD, 0, &range(0, u32::MAX, 0), 0).0, ERROR);
}

#[test]
fn lengths_that_are_no_sectors_are_errors() {
    let mut rig = ram_disk(8, Taste::default());
    for len in [1, 511, 513] {
        assert_eq!(rig.now(READ, 0, &[], len).0, ERROR);
        assert_eq!(rig.now(WRITE, 0, &vec![0; len as usize], 0).0, ERROR);
    }
    assert_eq!(rig.now(READ, 0, &[], 0), (DONE, vec![]), "nothing is a whole number of sectors");
}

#[test]
fn unknown_requests_and_flags_are_unsupported() {
    let mut rig = ram_disk(8, Taste::default());
    for kind in [2, 3, 5, 9, 10, 12, 14, 0x8000_0000, u32::MAX] {
        assert_eq!(rig.now(kind, 0, &[], 512).0, UNSUPPORTED);
    }
    // 5.2.6.2: discarding is not unmapping.
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 1), 0).0, UNSUPPORTED);
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 2), 0).0, UNSUPPORTED);
    assert_eq!(rig.now(ZEROES, 0, &range(0, 1, 2), 0).0, UNSUPPORTED);
    assert_eq!(rig.now(ZEROES, 0, &range(0, 1, 1), 0).0, DONE);
}

#[test]
fn ranges_are_zeroed_all_or_none_if_one_cannot_be() {
    let mut rig = ram_disk(64, Taste::default());
    rig.now(WRITE, 0, &[7; 64 * 512], 0);
    let bad = [range(0, 8, 0), range(60, 8, 0)].concat();
    assert_eq!(rig.now(DISCARD, 0, &bad, 0).0, ERROR);
    assert_eq!(rig.now(READ, 0, &[], 512).1, [7; 512]);
    let good = [range(0, 8, 0), range(5, 0, 0), range(16, 1, 0)].concat();
    assert_eq!(rig.now(ZEROES, 0, &good, 0).0, DONE);
    let (_, data) = rig.now(READ, 0, &[], 64 * 512);
    for (sector, bytes) in data.chunks(512).enumerate() {
        let fill = if sector < 8 || sector == 16 { 0 } else { 7 };
        assert!(bytes.iter().all(|byte| *byte == fill));
    }
}

#[test]
fn lists_of_ranges_have_a_limit_and_whole_entries() {
    let mut rig = ram_disk(64, Taste::default());
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 0).repeat(16), 0).0, DONE);
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 0).repeat(17), 0).0, ERROR);
    assert_eq!(rig.now(DISCARD, 0, &[0; 15], 0).0, ERROR);
    assert_eq!(rig.now(DISCARD, 0, &[0; 17], 0).0, ERROR);
    assert_eq!(rig.now(ZEROES, 0, &[], 0).0, ERROR);
}

#[test]
fn a_read_only_disk_is_not_written() {
    let image: &'static [u8] = &[7; 4096];
    let disk = Overlay::new(HeapPages::new(8), image).unwrap().read_only();
    let mut rig = Rig::new(Arc::new(disk), 1, Taste::default());
    assert_eq!(rig.guest.offered() & (1 << 5 | 1 << 13 | 1 << 14), 1 << 5);
    assert_eq!(rig.now(WRITE, 0, &[1; 512], 0).0, ERROR);
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 0), 0).0, ERROR);
    assert_eq!(rig.now(FLUSH, 0, &[], 0).0, DONE);
    assert_eq!(rig.now(READ, 0, &[], 512), (DONE, vec![7; 512]));
}

#[test]
fn what_was_not_agreed_on_is_unsupported() {
    let taste = Taste { features: !(1 << 13 | 1 << 14), ..Taste::default() };
    let mut rig = ram_disk(64, taste);
    assert_eq!(rig.now(DISCARD, 0, &range(0, 1, 0), 0).0, UNSUPPORTED);
    assert_eq!(rig.now(ZEROES, 0, &range(0, 1, 0), 0).0, UNSUPPORTED);
}

#[test]
fn the_configuration_says_what_the_disk_is_like() {
    let disk = RamDisk::empty(HeapPages::new(1), 0x1_2345_6789).unwrap();
    let mut rig = Rig::new(Arc::new(disk), 4, Taste::default());
    let mut field = |offset, width| rig.guest.config(offset, width);
    assert_eq!(field(0, Width::B8), 0x1_2345_6789);
    assert_eq!(field(12, Width::B4), 254);
    assert_eq!(field(20, Width::B4), 512);
    assert_eq!((field(24, Width::B1), field(26, Width::B2)), (3, 8));
    assert_eq!((field(32, Width::B1), field(34, Width::B2)), (1, 4));
    assert_eq!(
        (field(36, Width::B4), field(40, Width::B4), field(44, Width::B4)),
        (1 << 21, 16, 8)
    );
    assert_eq!(
        (field(48, Width::B4), field(52, Width::B4), field(56, Width::B1)),
        (1 << 21, 16, 1)
    );
    assert_eq!(field(60, Width::B4), 0);
    assert_eq!(rig.guest.offered() & 0xff_ffff, 0x7e44);
}

#[test]
fn a_call_does_a_bounded_amount_of_work() {
    let mut rig = ram_disk(4096, Taste::default());
    let ids: Vec<_> = (0..40u64).map(|_| rig.add(READ, 0, &[], 65_536).unwrap()).collect();
    rig.guest.kick(0);
    let ended = ids.iter().filter(|id| rig.take(**id).is_some()).count();
    assert!((1..=8).contains(&ended), "{ended}");
    assert_eq!(rig.guest.bell.rings(), 1);
    let mut polls = 0;
    while rig.guest.device.poll() == More::Yes {
        polls += 1;
    }
    assert!(polls >= 4);
    assert!(ids.iter().all(|id| rig.take(*id).is_some() || ids[..ended].contains(id)));
}

#[test]
fn several_requests_are_one_interrupt() {
    let mut rig = ram_disk(4096, Taste::default());
    for _ in 0..8 {
        rig.add(READ, 0, &[], 512).unwrap();
    }
    rig.guest.kick(0);
    assert_eq!((rig.guest.line.edges(), rig.counts().reads), (1, 8));
}

#[test]
fn a_device_on_its_bus_is_where_its_disk_reports_to() {
    use crate::disk::testing::{Drive, Silent};
    use crate::disk::{SectorRange, host::HostDisk};
    let drive = Drive::new(100, 4);
    let host = HostDisk::new(drive.driver(), core::time::Duration::from_secs(1), Arc::new(Silent));
    let window = host.open(SectorRange::new(0, 100).unwrap(), Access::ReadWrite).unwrap();
    let rig = Rig::empty(window.geometry(), 1, Taste::default());
    let Rig { mut guest, .. } = rig;
    let bytes = guest.add(0, &[&header(READ, 0)], &[512, 1]).unwrap();
    let port = Arc::new(hv_core::sync::Mutex::new(guest.device));
    let disk: Arc<dyn Disk> = Arc::new(window);
    let insert = |disk| port::Insert { disk, name: "other", buffers: PoolSize::default() };
    port::attach(&port, insert(disk)).unwrap();
    let notify = crate::testing::guest::register::QUEUE_NOTIFY;
    hv_core::guest::Device::write(&mut *port.lock(), notify, Width::B4, 0, Default::default());
    assert_eq!((drive.pending(), port.lock().device().running()), (1, 1));
    drive.finish(0);
    host.poll(hv_core::time::Instant(0));
    assert_eq!(
        guest.queues[0].take_used(&guest.ram).map(|used| (used.id, used.len)),
        Some((bytes, 513))
    );
    assert_eq!(port::detach(&port), port::Detached::Yes);
    assert_eq!(port::detach(&port), port::Detached::WasEmpty);
    assert!(host.open_ranges().is_empty());
}
