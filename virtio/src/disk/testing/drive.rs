//! A disk with a cache and a driver for it. Nothing happens by itself: the test says which command ends, how, and when the
//! power goes.

use super::super::geometry::{Access, Cache, Limits};
use super::super::host::PollBell;
use super::super::raw::{RawCompleted, RawDisk, Refused, Token};
use super::super::{DiskError, Geometry, Operation, SECTOR_BYTES, SectorRange};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

/// The test's side of the disk.
#[derive(Clone)]
pub(crate) struct Drive(Arc<Mutex<Inner>>);

/// The hypervisor's side of it.
pub(crate) struct FakeDriver(Drive);

/// Nobody listens.
pub(crate) struct Silent;

impl PollBell for Silent {
    fn ring(&self) {}
}

/// A command that the disk has.
pub(crate) struct Pending {
    pub(crate) token: Token,
    pub(crate) operation: Operation,
    /// For a flush: how many writes had ended when it came.
    covers: usize,
}

pub(crate) struct Inner {
    pub(crate) geometry: Geometry,
    depth: usize,
    /// What a read finds.
    pub(crate) content: Vec<u8>,
    /// What is there after the power was away.
    durable: Vec<u8>,
    /// What ended since the last flush, in order.
    unflushed: Vec<(SectorRange, Vec<u8>)>,
    /// How many have been made durable and are not in `unflushed` any more.
    flushed: usize,
    pub(crate) pending: Vec<Pending>,
    done: VecDeque<RawCompleted>,
    /// All commands that came, by what they were and where.
    pub(crate) log: Vec<(&'static str, SectorRange)>,
    /// How often the driver was told to begin.
    pub(crate) starts: usize,
}

impl Drive {
    pub(crate) fn new(sectors: u64, depth: usize) -> Self {
        let bytes = (sectors * SECTOR_BYTES) as usize;
        let limits = Limits { sectors: 2048, alignment_sectors: 1 };
        let geometry = Geometry {
            sectors,
            block_bytes: 512,
            physical_exponent: 0,
            minimum_blocks: 0,
            optimal_blocks: 0,
            access: Access::ReadWrite,
            cache: Cache::WriteBack,
            discard: Some(limits),
            write_zeroes: Some(limits),
        };
        Self(Arc::new(Mutex::new(Inner {
            geometry,
            depth,
            content: vec![0; bytes],
            durable: vec![0; bytes],
            unflushed: Vec::new(),
            flushed: 0,
            pending: Vec::new(),
            done: VecDeque::new(),
            log: Vec::new(),
            starts: 0,
        })))
    }

    pub(crate) fn driver(&self) -> Box<FakeDriver> {
        Box::new(FakeDriver(self.clone()))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn pending(&self) -> usize {
        self.lock().pending.len()
    }

    /// Ends the command that is `index`th of those under way.
    pub(crate) fn finish(&self, index: usize) {
        self.end(index, Ok(()));
    }

    pub(crate) fn finish_all(&self) {
        while self.pending() != 0 {
            self.finish(0);
        }
    }

    pub(crate) fn end(&self, index: usize, result: Result<(), DiskError>) {
        let mut inner = self.lock();
        let Pending { token, mut operation, covers } = inner.pending.remove(index);
        if result.is_ok() {
            inner.perform(&mut operation, covers);
        }
        inner.done.push_back(RawCompleted { token, result, buffer: operation.into_buffer() });
    }

    /// The driver says of the command that ended last that it has ended, again.
    pub(crate) fn repeat_last_end(&self) {
        let mut inner = self.lock();
        let token = inner.done.back().unwrap().token;
        inner.done.push_back(RawCompleted { token, result: Ok(()), buffer: None });
    }

    /// The power goes, and comes back: what is durable is there, and of the rest what `survives` says.
    pub(crate) fn cut_power(&self, mut survives: impl FnMut() -> bool) {
        let mut inner = self.lock();
        let Inner { pending, unflushed, durable, .. } = &mut *inner;
        // What is under way may have reached the medium as well.
        let under_way = pending.drain(..).filter_map(|pending| match pending.operation {
            Operation::Write { sector, buffer } => {
                let range = SectorRange::of_bytes(sector, buffer.len() as u64)?;
                Some((range, buffer.to_vec()))
            }
            Operation::Discard(range) | Operation::WriteZeroes(range, _) => {
                Some((range, vec![0; range.bytes() as usize]))
            }
            Operation::Read { .. } | Operation::Flush => None,
        });
        for (range, bytes) in unflushed.drain(..).chain(under_way) {
            for (index, sector) in bytes.chunks(SECTOR_BYTES as usize).enumerate() {
                if survives() {
                    let range = SectorRange::new(range.start() + index as u64, 1).unwrap();
                    store(durable, range, sector);
                }
            }
        }
        inner.done.clear();
        inner.flushed = 0;
        inner.content = inner.durable.clone();
    }
}

impl Inner {
    fn perform(&mut self, operation: &mut Operation, covers: usize) {
        let range = operation.range().unwrap();
        let bytes = match operation {
            Operation::Read { buffer, .. } => {
                let start = range.offset_bytes() as usize;
                return buffer
                    .copy_from_slice(&self.content[start..start + range.bytes() as usize]);
            }
            Operation::Flush => {
                let count = covers.saturating_sub(self.flushed);
                for (range, bytes) in self.unflushed.drain(..count) {
                    store(&mut self.durable, range, &bytes);
                }
                self.flushed += count;
                return;
            }
            Operation::Write { buffer, .. } => buffer.to_vec(),
            Operation::Discard(_) | Operation::WriteZeroes(..) => vec![0; range.bytes() as usize],
        };
        store(&mut self.content, range, &bytes);
        self.unflushed.push((range, bytes));
    }
}

fn store(medium: &mut [u8], range: SectorRange, bytes: &[u8]) {
    let start = range.offset_bytes() as usize;
    medium[start..start + bytes.len()].copy_from_slice(bytes);
}

impl RawDisk for FakeDriver {
    fn geometry(&self) -> Geometry {
        self.0.lock().geometry
    }

    fn depth(&self) -> usize {
        self.0.lock().depth
    }

    fn submit(&mut self, token: Token, operation: Operation) -> Result<(), Refused> {
        let mut inner = self.0.lock();
        assert!(inner.pending.iter().all(|other| other.token != token));
        if inner.pending.len() >= inner.depth {
            return Err(Refused::Busy(operation));
        }
        let name = match operation {
            Operation::Read { .. } => "read",
            Operation::Write { .. } => "write",
            Operation::Flush => "flush",
            Operation::Discard(_) => "discard",
            Operation::WriteZeroes(..) => "zeroes",
        };
        inner.log.push((name, operation.range().unwrap()));
        let covers = inner.flushed + inner.unflushed.len();
        inner.pending.push(Pending { token, operation, covers });
        Ok(())
    }

    fn start(&mut self) {
        self.0.lock().starts += 1;
    }

    fn poll(&mut self) -> Option<RawCompleted> {
        self.0.lock().done.pop_front()
    }
}
