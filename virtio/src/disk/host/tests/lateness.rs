//! Requests that do not end in time, clients that go, and what the driver still has of them.

use super::*;
use crate::disk::buffer::LARGE_BYTES;
use crate::disk::{Disk, Request, RequestId};

#[test]
fn a_late_request_fails_and_its_buffer_stays_with_the_driver() {
    let drive = Drive::new(100, 2);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    client.pool = BufferPool::new(PoolSize { small: 1, large: 0 }).unwrap();
    let read = client.begin(client.read(0, 1));
    assert_eq!(host.poll(at(0)), at(5));
    host.poll(at(4));
    assert_eq!(client.result(read), None);
    host.poll(at(5));
    let completed = client.take(read).unwrap();
    assert_eq!((completed.result, completed.buffer.is_some()), (Err(DiskError::Late), false));
    assert!(client.pool.take(1).is_none());
    assert_eq!((client.rooms(), host.statistics().strays), (0, 1));
    drive.finish(0);
    host.poll(at(6));
    assert!(client.pool.take(1).is_some());
    assert_eq!((client.rooms(), host.statistics().strays), (1, 0));
}

#[test]
fn a_dead_disk_fails_every_request_in_time() {
    let drive = Drive::new(100, 2);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    let mut ids: Vec<_> = (0..10).map(|sector| client.begin(client.write(sector, 1, 1))).collect();
    ids.push(client.begin(Operation::Flush));
    let mut now = at(0);
    while now < at(60) {
        now = host.poll(now);
    }
    for id in ids {
        assert_eq!(client.result(id), Some(Err(DiskError::Late)));
    }
    assert_eq!((now, host.statistics().late), (Instant::NEVER, 11));
}

#[test]
fn a_late_write_cannot_overwrite_what_comes_after_it() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    let late = client.begin(client.write(0, 4, 1));
    host.poll(at(0));
    host.poll(at(5));
    assert_eq!(client.result(late), Some(Err(DiskError::Late)));
    let (beside, over) = (client.begin(client.write(4, 4, 3)), client.begin(client.write(3, 2, 2)));
    assert_eq!(drive.pending(), 2, "what does not meet it goes on");
    drive.finish(1);
    host.poll(at(5));
    assert_eq!((client.result(beside), client.result(over)), (Some(Ok(())), None));
    drive.finish(0);
    host.poll(at(6));
    drive.finish(0);
    host.poll(at(6));
    assert_eq!(client.result(over), Some(Ok(())));
    assert_eq!(drive.lock().content[3 * 512], 2);
}

#[test]
fn cancelled_requests_that_have_begun_are_told_and_others_are_dropped() {
    let drive = Drive::new(100, 1);
    let host = host(&drive);
    let mut client = client(&host, 0, 100);
    let begun = client.begin(client.write(0, 1, 1));
    let waiting = client.begin(client.write(1, 1, 1));
    client.disk.cancel();
    let after = client.begin(client.write(0, 1, 2));
    drive.finish(0);
    host.poll(at(0));
    assert_eq!(client.result(begun), Some(Err(DiskError::Cancelled)));
    drive.finish_all();
    host.poll(at(0));
    assert_eq!((client.result(waiting), client.result(after)), (None, Some(Ok(()))));
    assert_eq!(drive.lock().content[0], 2);
    assert_eq!(drive.lock().content[512], 0);
}

#[test]
fn a_cancelled_flush_is_not_told_and_serves_the_others() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let (mut one, mut other) = (client(&host, 0, 50), client(&host, 50, 50));
    let before = one.begin(Operation::Flush);
    let (mine, its) = (one.begin(Operation::Flush), other.begin(Operation::Flush));
    one.disk.cancel();
    for _ in 0..2 {
        drive.finish_all();
        host.poll(at(0));
    }
    assert_eq!((one.result(before), one.result(mine)), (None, None));
    assert_eq!(other.result(its), Some(Ok(())));
}

#[test]
fn the_next_owner_of_a_partition_waits_for_the_writes_of_the_last() {
    let drive = Drive::new(100, 4);
    let host = host(&drive);
    let mut killed = client(&host, 10, 10);
    killed.begin(killed.write(0, 1, 1));
    killed.begin(killed.read(5, 1));
    let pool = killed.pool.clone();
    drop(killed);
    assert_eq!(host.statistics().strays, 2);
    let mut next = client(&host, 10, 10);
    let write = next.begin(next.write(0, 1, 2));
    assert_eq!(drive.pending(), 2);
    drive.finish(0);
    drive.finish(0);
    host.poll(at(0));
    drive.finish(0);
    host.poll(at(0));
    assert_eq!((next.result(write), drive.lock().content[10 * 512]), (Some(Ok(())), 2));
    let all: Vec<_> = (0..66).map_while(|_| pool.take(1)).collect();
    assert_eq!(all.len(), 66, "the killed client's buffers are back");
}

#[test]
fn killed_clients_leave_turns_to_the_others() {
    let drive = Drive::new(1000, 1);
    let host = host(&drive);
    let mut clients: Vec<_> = (0..4).map(|index| client(&host, index * 100, 100)).collect();
    for client in &mut clients {
        for _ in 0..4 {
            client.begin(client.read(0, 8));
        }
    }
    clients.remove(0);
    clients.remove(1);
    for _ in 0..20 {
        drive.finish_all();
        host.poll(at(0));
    }
    for client in &mut clients {
        assert!((1..=4).all(|id| client.result(id) == Some(Ok(()))));
    }
}

/// Counts how often it was rung.
#[derive(Default)]
struct Rung(std::sync::atomic::AtomicUsize);

impl PollBell for Rung {
    fn ring(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn whoever_polls_is_called_when_something_begins_and_nobody_waited() {
    let drive = Drive::new(100, 4);
    let bell = Arc::new(Rung::default());
    let host = HostDisk::new(drive.driver(), TIMEOUT, Arc::clone(&bell) as Arc<dyn PollBell>);
    let rung = || bell.0.load(std::sync::atomic::Ordering::Relaxed);
    let mut client = client(&host, 0, 100);
    assert_eq!(host.poll(at(0)), Instant::NEVER);
    client.begin(client.read(0, 1));
    client.begin(client.read(1, 1));
    assert_eq!(rung(), 1);
    assert_eq!(host.poll(at(1)), at(6));
    client.begin(client.read(2, 1));
    assert_eq!(rung(), 1, "it will be polled at 6");
    drive.finish_all();
    assert_eq!(host.poll(at(2)), Instant::NEVER);
    client.begin(client.read(3, 1));
    assert_eq!(rung(), 2);
}

#[test]
fn a_buffer_may_be_larger_than_a_turn() {
    const { assert!(LARGE_BYTES >= 64 << 10) };
    let drive = Drive::new(1000, 1);
    let host = host(&drive);
    let window = host.open(range(0, 1000), Access::ReadWrite).unwrap();
    let pool = BufferPool::new(PoolSize { small: 0, large: 1 }).unwrap();
    let buffer = pool.take(LARGE_BYTES).unwrap();
    let operation = Operation::Read { sector: 0, buffer };
    let _later = window.submit(Request { id: RequestId(1), operation });
    window.start();
    assert_eq!(drive.pending(), 1);
}
