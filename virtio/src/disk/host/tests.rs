//! The host's disk and several clients, over a driver that does what the tests say.

use super::super::buffer::{BufferPool, PoolSize};
use super::super::testing::{Client, Drive, Silent};
use super::super::{DiskError, Operation, SECTOR_BYTES, Unmap};
use super::*;
use proptest::collection::vec;
use proptest::prelude::{prop_assert, proptest};

mod lateness;
mod model;

const TIMEOUT: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(100 + seconds)
}

fn range(start: u64, count: u64) -> SectorRange {
    SectorRange::new(start, count).unwrap()
}

fn host(drive: &Drive) -> Arc<HostDisk> {
    HostDisk::new(drive.driver(), TIMEOUT, Arc::new(Silent))
}

fn client(host: &Arc<HostDisk>, start: u64, count: u64) -> Client {
    Client::new(Arc::new(host.open(range(start, count), Access::ReadWrite).unwrap()))
}

#[test]
fn a_partition_is_had_by_one_writer_or_by_many_readers() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let first = host.open(range(10, 10), Access::ReadWrite).unwrap();
    assert_eq!(host.open(range(19, 1), Access::ReadOnly).err(), Some(OpenError::InUse));
    let second = host.open(range(20, 10), Access::ReadOnly).unwrap();
    let third = host.open(range(25, 10), Access::ReadOnly).unwrap();
    assert_eq!(host.open(range(25, 10), Access::ReadWrite).err(), Some(OpenError::InUse));
    drop((first, second));
    assert!(host.open(range(19, 1), Access::ReadWrite).is_ok());
    assert_eq!(host.open_ranges(), [(range(25, 10), Access::ReadOnly)]);
    drop(third);
    assert_eq!(host.open(range(91, 10), Access::ReadOnly).err(), Some(OpenError::OutOfRange));
}

#[test]
fn a_client_cannot_leave_its_part() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let mut client = client(&host, 10, 10);
    for operation in [client.read(10, 1), client.read(9, 2), Client::discard(0, 11)] {
        assert_eq!(client.now(operation).unwrap_err(), DiskError::OutOfRange);
    }
    client.begin(client.write(9, 1, 7));
    assert_eq!(drive.lock().log, [("write", range(19, 1))]);
}

#[test]
fn a_reader_cannot_write() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let mut reader = Client::new(Arc::new(host.open(range(0, 50), Access::ReadOnly).unwrap()));
    assert_eq!(reader.now(reader.write(0, 1, 7)).unwrap_err(), DiskError::ReadOnly);
    assert_eq!(reader.now(Client::zeroes(0, 1, Unmap::Allowed)).unwrap_err(), DiskError::ReadOnly);
}

#[test]
fn several_requests_are_one_notification_of_the_disk() {
    let drive = Drive::new(100, 8);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    for sector in 0..8 {
        client.submit(client.read(sector, 1));
    }
    client.disk.start();
    assert_eq!((drive.pending(), drive.lock().starts), (8, 1));
}

#[test]
fn each_client_has_counters_of_its_own() {
    let drive = Drive::new(100, 8);
    let host = host(&drive);
    let open = |start| Arc::new(host.open(range(start, 50), Access::ReadWrite).unwrap());
    let (one, other) = (open(0), open(50));
    let mut first = Client::new(Arc::<HostWindow>::clone(&one));
    let mut second = Client::new(Arc::<HostWindow>::clone(&other));
    first.begin(first.write(0, 2, 1));
    second.begin(second.read(0, 1));
    first.begin(Operation::Flush);
    host.poll(at(0));
    drive.finish_all();
    host.poll(at(3));
    drive.finish_all();
    host.poll(at(3));
    second.begin(second.read(0, 1));
    host.poll(at(4));
    host.poll(at(10));
    let (one, other) = (one.statistics(), other.statistics());
    assert_eq!((one.requests, one.flushes, one.written_bytes, one.read_bytes), (2, 1, 1024, 0));
    assert_eq!((one.errors, one.longest), (0, Duration::from_secs(3)));
    assert_eq!((other.requests, other.flushes, other.read_bytes), (2, 0, 512));
    assert_eq!((other.errors, other.late, other.longest), (1, 1, Duration::from_secs(6)));
}

#[test]
fn a_flush_waits_for_earlier_writes_and_is_begun_after_them() {
    let drive = Drive::new(100, 8);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    let write = client.begin(client.write(0, 1, 1));
    let flush = client.begin(Operation::Flush);
    let read = client.begin(client.read(50, 1));
    host.poll(at(0));
    assert_eq!(drive.lock().log, [("write", range(0, 1))]);
    drive.finish(0);
    host.poll(at(0));
    assert_eq!(client.result(write), Some(Ok(())));
    assert_eq!(client.result(flush), None);
    assert_eq!(drive.lock().log[1..], [("flush", range(0, 0)), ("read", range(50, 1))]);
    drive.finish(0);
    host.poll(at(0));
    assert_eq!((client.result(flush), client.result(read)), (Some(Ok(())), None));
}

#[test]
fn a_flush_under_way_serves_nobody_who_comes_later() {
    let drive = Drive::new(100, 8);
    let host = host(&drive);
    let mut one = client(&host, 0, 50);
    let mut other = client(&host, 50, 50);
    let first = one.begin(Operation::Flush);
    let write = other.begin(other.write(0, 1, 1));
    drive.finish(1);
    host.poll(at(0));
    assert_eq!(other.result(write), Some(Ok(())));
    let (second, third) = (other.begin(Operation::Flush), one.begin(Operation::Flush));
    drive.finish(0);
    host.poll(at(0));
    assert_eq!(one.result(first), Some(Ok(())));
    assert_eq!((other.result(second), one.result(third)), (None, None));
    assert_eq!(drive.pending(), 1, "one for both");
    drive.finish(0);
    host.poll(at(0));
    assert_eq!((other.result(second), one.result(third)), (Some(Ok(())), Some(Ok(()))));
    assert_eq!(host.statistics().flushes, 2);
}

#[test]
fn errors_of_the_disk_reach_who_asked() {
    let drive = Drive::new(100, 8);
    let host = host(&drive);
    let mut one = client(&host, 0, 50);
    let mut other = client(&host, 50, 50);
    let (bad, good) = (one.begin(one.write(0, 1, 1)), other.begin(other.write(0, 1, 1)));
    drive.end(0, Err(DiskError::Medium));
    drive.finish(0);
    host.poll(at(0));
    assert_eq!((one.result(bad), other.result(good)), (Some(Err(DiskError::Medium)), Some(Ok(()))));
    let flush = one.begin(Operation::Flush);
    drive.end(0, Err(DiskError::Medium));
    host.poll(at(0));
    assert_eq!(one.result(flush), Some(Err(DiskError::Medium)));
    assert_eq!(host.statistics().errors, 2);
}

#[test]
fn a_disk_that_needs_no_flush_gets_none() {
    let drive = Drive::new(100, 8);
    drive.lock().geometry.cache = super::super::Cache::WriteThrough;
    let host = host(&drive);
    let mut client = client(&host, 0, 50);
    let flush = client.begin(Operation::Flush);
    host.poll(at(0));
    assert_eq!((client.result(flush), drive.pending()), (Some(Ok(())), 0));
}

#[test]
fn clients_get_the_same_number_of_bytes_whatever_the_size_of_their_requests() {
    let drive = Drive::new(10_000, 4);
    let host = host(&drive);
    let mut large = client(&host, 0, 5000);
    large.pool = BufferPool::new(PoolSize { small: 0, large: 32 }).unwrap();
    let mut small = client(&host, 5000, 5000);
    small.pool = BufferPool::new(PoolSize { small: 0, large: 64 }).unwrap();
    for _ in 0..32 {
        large.submit(large.read(0, 128));
        small.submit(small.read(0, 32));
        small.submit(small.read(0, 32));
    }
    large.disk.start();
    while drive.pending() != 0 {
        drive.finish(0);
        host.poll(at(0));
        let log = drive.lock().log.clone();
        let bytes = |of_large: bool| {
            let of = log.iter().filter(|(_, range)| (range.start() < 5000) == of_large);
            of.map(|(_, range)| range.bytes()).sum::<u64>()
        };
        // As long as both have something to do.
        if bytes(false) < 64 * 32 * SECTOR_BYTES && bytes(true) < 32 * 128 * SECTOR_BYTES {
            assert!(bytes(true).abs_diff(bytes(false)) <= 2 * 128 * SECTOR_BYTES);
        }
    }
}

proptest! {
    #[test]
    fn nobody_waits_for_more_than_a_turn_of_each_other(sizes in vec(1..=128u64, 1..60)) {
        let drive = Drive::new(10_000, 1);
        let host = host(&drive);
        let mut greedy = client(&host, 0, 5000);
        let mut modest = client(&host, 5000, 5000);
        greedy.pool = BufferPool::new(PoolSize { small: 60, large: 60 }).unwrap();
        for size in sizes {
            greedy.submit(greedy.read(0, size));
        }
        greedy.disk.start();
        modest.begin(modest.read(0, 1));
        let mut bytes = 0;
        while drive.pending() != 0 {
            drive.finish(0);
            host.poll(at(0));
            let last = *drive.lock().log.last().unwrap();
            if last.1.start() >= 5000 {
                break;
            }
            bytes += last.1.bytes().max(4096);
        }
        // What was left of this turn, and the command under way.
        prop_assert!(bytes <= 3 * (64 << 10), "{}", bytes);
    }
}

#[test]
fn too_many_requests_are_refused_not_kept() {
    let drive = Drive::new(100, 1);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    let refused = (0..2000).filter(|_| {
        let id = client.submit(Client::discard(0, 1));
        client.result(id) == Some(Err(DiskError::Busy))
    });
    assert_eq!(refused.count(), 2000 - 1024);
}

#[test]
fn the_end_of_what_nobody_began_is_ignored() {
    let drive = Drive::new(100, 2);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    client.begin(client.read(0, 1));
    // The driver says twice that it has ended.
    drive.finish(0);
    drive.repeat_last_end();
    host.poll(at(0));
    assert_eq!(host.statistics().in_flight, 0);
    assert_eq!(host.poll(at(0)), Instant::NEVER);
}
