//! A client of a disk, which keeps all that it is told.

use super::super::buffer::PoolSize;
use super::super::{
    Buffer, BufferPool, Completed, Completer, Disk, DiskError, News, Operation, Request, RequestId,
    SECTOR_BYTES, SectorRange, Submitted, Unmap,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Inbox {
    ended: Mutex<BTreeMap<u64, Completed>>,
    rooms: Mutex<usize>,
}

impl Completer for Inbox {
    fn hear(&self, news: Vec<News>) {
        for news in news {
            match news {
                News::Ended(completed) => self.put(completed),
                News::Room => *self.rooms.lock().unwrap() += 1,
            }
        }
    }
}

impl Inbox {
    fn put(&self, completed: Completed) {
        let twice = self.ended.lock().unwrap().insert(completed.id.0, completed);
        assert!(twice.is_none());
    }
}

pub(crate) struct Client {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) pool: BufferPool,
    inbox: Arc<Inbox>,
    next: u64,
}

impl Client {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        let inbox = Arc::new(Inbox::default());
        let weak: std::sync::Weak<Inbox> = Arc::downgrade(&inbox);
        disk.connect(weak);
        let pool = BufferPool::new(PoolSize { small: 64, large: 2 }).unwrap();
        Self { disk, pool, inbox, next: 0 }
    }

    /// Submits without starting.
    pub(crate) fn submit(&mut self, operation: Operation) -> u64 {
        self.next += 1;
        let id = RequestId(self.next);
        if let Submitted::Done(completed) = self.disk.submit(Request { id, operation }) {
            assert_eq!(completed.id, id);
            self.inbox.put(completed);
        }
        self.next
    }

    /// Submits and starts.
    pub(crate) fn begin(&mut self, operation: Operation) -> u64 {
        let id = self.submit(operation);
        self.disk.start();
        id
    }

    pub(crate) fn read(&self, sector: u64, sectors: u64) -> Operation {
        Operation::Read { sector, buffer: self.buffer(sectors, 0xee) }
    }

    pub(crate) fn write(&self, sector: u64, sectors: u64, fill: u8) -> Operation {
        Operation::Write { sector, buffer: self.buffer(sectors, fill) }
    }

    fn buffer(&self, sectors: u64, fill: u8) -> Buffer {
        let mut buffer = self.pool.take((sectors * SECTOR_BYTES) as usize).unwrap();
        buffer.fill(fill);
        buffer
    }

    pub(crate) fn discard(sector: u64, sectors: u64) -> Operation {
        Operation::Discard(SectorRange::new(sector, sectors).unwrap())
    }

    pub(crate) fn zeroes(sector: u64, sectors: u64, unmap: Unmap) -> Operation {
        Operation::WriteZeroes(SectorRange::new(sector, sectors).unwrap(), unmap)
    }

    /// How the request ended, once.
    pub(crate) fn take(&self, id: u64) -> Option<Completed> {
        self.inbox.ended.lock().unwrap().remove(&id)
    }

    pub(crate) fn result(&self, id: u64) -> Option<Result<(), DiskError>> {
        self.take(id).map(|completed| completed.result)
    }

    /// What an operation gives that ends at once.
    pub(crate) fn now(&mut self, operation: Operation) -> Result<Option<Buffer>, DiskError> {
        let id = self.begin(operation);
        let completed = self.take(id).unwrap();
        completed.result.map(|()| completed.buffer)
    }

    pub(crate) fn rooms(&self) -> usize {
        *self.inbox.rooms.lock().unwrap()
    }
}
