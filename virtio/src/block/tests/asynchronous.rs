//! Disks that answer later, with errors, or never.

use super::*;
use crate::disk::testing::{Drive, Silent};
use crate::disk::{DiskError, SectorRange, host::HostDisk, host::HostWindow};
use core::time::Duration;
use hv_core::time::Instant;

pub(super) struct Host {
    pub(super) drive: Drive,
    pub(super) host: Arc<HostDisk>,
}

impl Host {
    pub(super) fn new(sectors: u64, depth: usize) -> Self {
        let drive = Drive::new(sectors, depth);
        let host = HostDisk::new(drive.driver(), Duration::from_secs(5), Arc::new(Silent));
        Self { drive, host }
    }

    pub(super) fn window(&self, start: u64, count: u64) -> Arc<HostWindow> {
        let range = SectorRange::new(start, count).unwrap();
        Arc::new(self.host.open(range, Access::ReadWrite).unwrap())
    }

    /// Everything under way ends, and what comes of it.
    pub(super) fn settle(&self, rig: &mut Rig) {
        loop {
            self.drive.finish_all();
            self.host.poll(Instant(1));
            if rig.deliver() == 0 && self.drive.pending() == 0 {
                return;
            }
        }
    }

    pub(super) fn at(&self, seconds: u64, rig: &mut Rig) -> Instant {
        let next = self.host.poll(Instant(0) + Duration::from_secs(seconds));
        rig.deliver();
        next
    }
}

pub(super) fn rig(host: &Host, taste: Taste) -> Rig {
    let sectors = host.host.geometry().sectors;
    Rig::new(host.window(0, sectors), 1, taste)
}

#[test]
fn a_request_ends_when_the_disk_says_so() {
    let host = Host::new(100, 8);
    let mut rig = rig(&host, Taste::default());
    let write = rig.begin(WRITE, 5, &[4; 1024], 0).unwrap();
    let read = rig.begin(READ, 50, &[], 512).unwrap();
    assert!(!rig.guest.interrupted());
    host.drive.finish(1);
    host.host.poll(Instant(1));
    rig.deliver();
    assert!(rig.guest.interrupted());
    assert_eq!((rig.answer(write), rig.answer(read)), (None, Some((DONE, vec![0; 512]))));
    host.settle(&mut rig);
    assert_eq!(rig.answer(write), Some((DONE, vec![])));
    assert_eq!(rig.now_later(&host, READ, 5, 1024), (DONE, vec![4; 1024]));
}

#[test]
fn requests_that_end_together_are_one_interrupt_and_one_start_of_the_disk() {
    let host = Host::new(100, 32);
    let mut rig = rig(&host, Taste::default());
    for sector in 0..16 {
        rig.add(READ, sector, &[], 512).unwrap();
    }
    rig.guest.kick(0);
    assert_eq!((host.drive.pending(), host.drive.lock().starts), (16, 1));
    host.drive.finish_all();
    host.host.poll(Instant(1));
    rig.deliver();
    assert_eq!(rig.guest.device.record().interrupts(), 1);
    assert_eq!(rig.guest.device.record().notifications(), 1);
    assert_eq!(rig.guest.device.device().running(), 0);
}

#[test]
fn a_large_request_needs_no_more_than_the_pool() {
    let host = Host::new(10_000, 64);
    let mut rig = rig(&host, Taste::default());
    let data: Vec<u8> = (0..2 << 20).map(|index| (index / 3333) as u8).collect();
    let write = rig.begin(WRITE, 1, &data, 0).unwrap();
    assert_eq!(host.drive.pending(), 8, "the pool has 8 large buffers");
    while rig.answer(write).is_none() {
        // In any order.
        let last = host.drive.pending() - 1;
        host.drive.finish(last);
        host.host.poll(Instant(1));
        rig.deliver();
        assert!(host.drive.pending() <= 8);
    }
    assert!(host.drive.lock().content[512..512 + data.len()] == data);
    let read = rig.begin(READ, 1, &[], 2 << 20).unwrap();
    host.settle(&mut rig);
    assert!(rig.answer(read) == Some((DONE, data)));
}

#[test]
fn a_flush_ends_after_the_hosts_flush() {
    let host = Host::new(100, 8);
    let mut rig = rig(&host, Taste::default());
    let (write, flush) =
        (rig.begin(WRITE, 0, &[1; 512], 0).unwrap(), rig.begin(FLUSH, 0, &[], 0).unwrap());
    host.drive.finish(0);
    host.host.poll(Instant(1));
    rig.deliver();
    assert_eq!((rig.answer(write), rig.answer(flush)), (Some((DONE, vec![])), None));
    host.settle(&mut rig);
    assert_eq!(rig.answer(flush), Some((DONE, vec![])));
    host.drive.cut_power(|| false);
    assert_eq!(host.drive.lock().content[..512], [1; 512]);
}

#[test]
fn a_driver_that_does_not_flush_has_durable_writes() {
    // Neither FLUSH nor CONFIG_WCE; or the cache is switched off.
    for features in [!(1 << 9 | 1 << 11), !(1 << 9), u64::MAX] {
        let host = Host::new(100, 8);
        let mut rig = rig(&host, Taste { features, ..Taste::default() });
        if features == u64::MAX {
            hv_core::guest::Device::write(
                &mut rig.guest.device,
                0x100 + CACHE_MODE_OFFSET,
                Width::B1,
                0,
                Instant(0),
            );
        }
        if features >> 11 & 1 != 0 {
            assert_eq!(rig.guest.config(CACHE_MODE_OFFSET, Width::B1), 0);
        }
        let write = rig.begin(WRITE, 0, &[1; 512], 0).unwrap();
        host.drive.finish(0);
        host.host.poll(Instant(1));
        rig.deliver();
        assert_eq!(rig.answer(write), None);
        assert_eq!(host.drive.lock().log.last().unwrap().0, "flush");
        host.settle(&mut rig);
        assert_eq!(rig.answer(write), Some((DONE, vec![])));
        host.drive.cut_power(|| false);
        assert_eq!(host.drive.lock().content[..512], [1; 512]);
    }
}

#[test]
fn an_error_of_the_disk_is_one_of_the_request() {
    let host = Host::new(1000, 8);
    let mut rig = rig(&host, Taste::default());
    let (bad, good) =
        (rig.begin(READ, 0, &[], 200 << 10).unwrap(), rig.begin(READ, 0, &[], 512).unwrap());
    host.drive.end(1, Err(DiskError::Medium));
    host.settle(&mut rig);
    assert_eq!(rig.answer(bad).unwrap().0, ERROR);
    assert_eq!(rig.answer(good).unwrap().0, DONE);
    assert_eq!(rig.counts().errors, 1);
}

#[test]
fn a_disk_that_never_answers_fails_all_requests_in_time_and_may_come_back() {
    let host = Host::new(1000, 64);
    let mut rig = rig(&host, Taste::default());
    let ids: Vec<_> = (0..20).map(|_| rig.begin(READ, 0, &[], 128 << 9).unwrap()).collect();
    let mut now = 0;
    while rig.guest.device.device().running() != 0 {
        host.at(now, &mut rig);
        now += 1;
        assert!(now < 30);
    }
    for id in &ids {
        assert_eq!(rig.answer(*id).unwrap().0, ERROR);
    }
    // All large buffers are lost: what needs one fails at once, what does not is late.
    assert_eq!(rig.now(READ, 0, &[], 128 << 9).0, ERROR);
    let small = rig.begin(READ, 0, &[], 512).unwrap();
    assert_eq!(rig.answer(small), None);
    // The disk wakes up.
    host.drive.finish_all();
    host.at(now, &mut rig);
    assert_eq!(rig.answer(small).unwrap().0, DONE);
    let large = rig.begin(READ, 0, &[], 128 << 9).unwrap();
    host.drive.finish_all();
    host.at(now, &mut rig);
    assert_eq!(rig.answer(large).unwrap().0, DONE);
}

#[test]
fn more_requests_than_the_device_works_on_wait_in_the_queue() {
    let host = Host::new(1000, 300);
    let sectors = host.host.geometry().sectors;
    let mut rig = Rig::new(host.window(0, sectors), 2, Taste::default());
    for queue in [0, 1] {
        for _ in 0..100 {
            rig.guest.send(queue, &[&header(FLUSH, 0)], &[1]).unwrap();
        }
    }
    while rig.guest.device.poll() == More::Yes {}
    assert_eq!(rig.guest.device.device().running(), table::PLACES);
    host.settle(&mut rig);
    let mut ended = 0;
    for queue in [0, 1] {
        while let Some(done) = rig.guest.take(queue) {
            assert_eq!(done.data, [DONE]);
            ended += 1;
        }
    }
    assert_eq!(ended, 200);
}

#[test]
fn requests_in_several_queues_get_turns() {
    let host = Host::new(1000, 1);
    let mut rig = Rig::new(host.window(0, 1000), 3, Taste::default());
    for queue in 0..3 {
        for index in 0..10 {
            rig.guest.add(queue, &[&header(READ, 10 * queue as u64 + index)], &[512, 1]).unwrap();
        }
    }
    // The first call takes from all that were notified before.
    for queue in [1, 2, 0] {
        rig.guest.kick(queue);
    }
    host.settle(&mut rig);
    assert_eq!(host.drive.lock().log.len(), 30);
}

impl Rig {
    fn now_later(&mut self, host: &Host, kind: u32, sector: u64, room: u32) -> (u8, Vec<u8>) {
        let id = self.begin(kind, sector, &[], room).unwrap();
        host.settle(self);
        self.answer(id).unwrap()
    }
}
