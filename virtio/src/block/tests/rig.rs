//! A guest with a block device, whose disk's ends arrive when the test lets them.

use crate::block::{Block, Counts, Medium, Setup};
use crate::disk::buffer::PoolSize;
use crate::disk::geometry::Geometry;
use crate::disk::{BufferPool, Completer, Disk, News};
use crate::testing::guest::{Done, Guest, Taste};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

pub(super) struct Rig {
    pub(super) guest: Guest<Block>,
    inbox: Arc<Inbox>,
    ended: BTreeMap<u16, Done>,
    pub(super) pool_size: PoolSize,
}

/// What a disk reported and the device has not heard yet.
#[derive(Default)]
struct Inbox(Mutex<Vec<News>>);

impl Completer for Inbox {
    fn hear(&self, news: Vec<News>) {
        self.0.lock().unwrap().extend(news);
    }
}

/// Bytes of data in a row: four pages.
const RUN: u32 = 16 << 10;

pub(super) fn header(kind: u32, sector: u64) -> [u8; 16] {
    // What is reserved may hold anything.
    (u128::from(kind) | 0x5555 << 32 | u128::from(sector) << 64).to_le_bytes()
}

impl Rig {
    /// With a device that has no disk.
    pub(super) fn empty(geometry: Geometry, queues: u16, taste: Taste) -> Self {
        let mut rig = Self::powered_on(geometry, queues, taste);
        rig.guest.start();
        rig
    }

    fn powered_on(geometry: Geometry, queues: u16, taste: Taste) -> Self {
        let block = Block::new(Setup { name: "roost-disk-0", queues, geometry });
        let guest = Guest::powered_on(block, taste);
        let pool_size = PoolSize::default();
        Self { guest, inbox: Arc::default(), ended: BTreeMap::new(), pool_size }
    }

    pub(super) fn new(disk: Arc<dyn Disk>, queues: u16, taste: Taste) -> Self {
        let mut rig = Self::powered_on(disk.geometry(), queues, taste);
        rig.change(Some(disk));
        rig.guest.start();
        rig
    }

    /// Exchanges the disk.
    pub(super) fn change(&mut self, disk: Option<Arc<dyn Disk>>) {
        let pool = BufferPool::new(self.pool_size).unwrap();
        let medium = disk.map(|disk| {
            let inbox: Weak<Inbox> = Arc::downgrade(&self.inbox);
            disk.connect(inbox);
            Medium::new(disk, pool)
        });
        let old = self.guest.device.call(|block, context| block.change(medium, context));
        drop(old);
    }

    /// Sends a request as Linux does: header, data, status, each on its own. The device is not notified.
    pub(super) fn add(&mut self, kind: u32, sector: u64, out: &[u8], room: u32) -> Option<u16> {
        let header = header(kind, sector);
        let mut readable = vec![&header[..]];
        readable.extend(out.chunks(RUN as usize));
        let mut writable: Vec<u32> = vec![RUN; (room / RUN) as usize];
        writable.extend([room % RUN].iter().filter(|len| **len != 0));
        writable.push(1);
        self.guest.add(0, &readable, &writable)
    }

    pub(super) fn begin(&mut self, kind: u32, sector: u64, out: &[u8], room: u32) -> Option<u16> {
        let id = self.add(kind, sector, out, room)?;
        self.guest.kick(0);
        while self.guest.device.poll() == crate::More::Yes {}
        Some(id)
    }

    /// Sends a request, and says how it ended: it has to end at once.
    pub(super) fn now(&mut self, kind: u32, sector: u64, out: &[u8], room: u32) -> (u8, Vec<u8>) {
        let id = self.begin(kind, sector, out, room).unwrap();
        self.answer(id).unwrap()
    }

    /// The status and the data of a request that has ended.
    pub(super) fn answer(&mut self, id: u16) -> Option<(u8, Vec<u8>)> {
        let Done { mut data, .. } = self.take(id)?;
        Some((data.pop().unwrap(), data))
    }

    /// Takes back a request of queue 0.
    pub(super) fn take(&mut self, id: u16) -> Option<Done> {
        while let Some(done) = self.guest.take(0) {
            assert!(self.ended.insert(done.id, done).is_none());
        }
        self.ended.remove(&id)
    }

    /// Lets the device hear what its disk has reported. Returns how much that was.
    pub(super) fn deliver(&mut self) -> usize {
        let news = core::mem::take(&mut *self.inbox.0.lock().unwrap());
        let count = news.len();
        self.guest.device.call(|block, context| block.hear(news, context));
        while self.guest.device.poll() == crate::More::Yes {}
        count
    }

    pub(super) fn counts(&self) -> Counts {
        self.guest.device.device().statistics().counts()
    }

    /// Forgets what came back: the driver begins anew.
    pub(super) fn restart(&mut self) {
        self.ended.clear();
        self.guest.start();
    }
}
