//! The block device (virtio 1.2, 5.2): a guest's requests, made to a [`Disk`] in bounded pieces.
//!
//! ```text
//!   queues ──pop──► header, checks ──► table of requests ──pieces──► disk
//!                        │                  ▲    │                     │
//!                        ▼ refused          │    ▼ all pieces ended    │
//!                      status ◄─────────────┼─ status ◄────────────────┘
//!                                  buffers of a fixed pool
//! ```
//!
//! One request at a time is being cut up; the disk may have the pieces of many. If no buffer is free, cutting goes on when
//! a piece ends. A call from the driver does a bounded amount of work, and asks to be called again if there is more.
//!
//! What ends after the driver's reset is known by its name and dropped. What was begun then may still change the disk;
//! disks see to it that it does so before whatever comes later.

mod piece;
pub mod port;
mod request;
mod statistics;
mod table;
mod wire;
mod work;

pub use port::Port;
pub use statistics::{Counts, Statistics};

use crate::config_space;
use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::disk::geometry::{Cache, Geometry};
use crate::disk::{BufferPool, Completed, Disk, DiskError, News};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use hv_core::guest::Width;
use piece::Name;
use table::{Durability, Table};
use wire::{CACHE_MODE_OFFSET, F_CACHE_MODE, F_FLUSH, NAME_BYTES, QUEUE_SIZE, Space, Status};

/// What a block device is made with.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The disk's name, of which the driver is told the first 20 bytes.
    pub name: &'a str,
    /// How many queues: one for each of the guest's CPUs is best. At least 1.
    pub queues: u16,
    /// What the disk is like that will be attached first: it decides on what is offered to the driver.
    pub geometry: Geometry,
}

/// A disk in a device, with its buffers.
pub struct Medium {
    disk: Arc<dyn Disk>,
    geometry: Geometry,
    pool: BufferPool,
    /// Pieces that it has, of this life.
    in_flight: usize,
    /// Pieces that it was given since it was told to start last.
    unstarted: usize,
    health: Health,
    stay: Stay,
}

/// Whether a disk takes new requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stay {
    Stays,
    /// It is about to go: what has begun may end, and the driver sees no disk.
    Leaves,
}

/// Whether buffers come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    Good,
    /// The disk was late with all of them: nothing that needs one is waited for.
    Dead,
}

impl Medium {
    /// `disk`, which is connected to where its ends arrive, with buffers from `pool`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, pool: BufferPool) -> Self {
        let geometry = disk.geometry();
        let (health, stay) = (Health::Good, Stay::Stays);
        Self { disk, geometry, pool, in_flight: 0, unstarted: 0, health, stay }
    }
}

/// A block device.
pub struct Block {
    medium: Option<Medium>,
    /// Of the disk, or of none.
    geometry: Geometry,
    offered: u64,
    agreed: u64,
    /// What the driver chose.
    cache: Cache,
    name: [u8; NAME_BYTES],
    /// Bytes of a block, as drivers read them once, when they begin.
    block_bytes: u32,
    queue_sizes: Vec<u16>,
    table: Table,
    /// The request that is being cut into pieces.
    current: Option<u8>,
    life: u32,
    /// Queues that may have something, a bit each.
    backlog: u64,
    /// The queue that was served last.
    last_queue: usize,
    statistics: Arc<Statistics>,
}

impl Block {
    /// A device without a disk: [`port::attach`] puts one in.
    #[must_use]
    pub fn new(setup: Setup<'_>) -> Self {
        let queues = setup.queues.clamp(1, crate::transport::MAX_QUEUES as u16);
        Self {
            medium: None,
            geometry: Geometry { sectors: 0, ..setup.geometry },
            offered: wire::features(&setup.geometry, queues),
            agreed: 0,
            cache: Cache::WriteBack,
            name: name_bytes(setup.name),
            block_bytes: setup.geometry.block_bytes,
            queue_sizes: vec![QUEUE_SIZE; usize::from(queues)],
            table: Table::new(),
            current: None,
            life: 0,
            backlog: 0,
            last_queue: 0,
            statistics: Arc::default(),
        }
    }

    /// What it has done, which can be read without its lock.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.statistics)
    }

    /// The disk, if there is one.
    #[must_use]
    pub fn disk(&self) -> Option<&Arc<dyn Disk>> {
        self.medium.as_ref().map(|medium| &medium.disk)
    }

    /// Bytes of a block, as its drivers know them.
    #[must_use]
    pub fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    /// What the driver is told of the disk that comes next.
    pub fn rename(&mut self, name: &str) {
        self.name = name_bytes(name);
    }

    /// How many requests have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.table.len()
    }

    /// Lets the disk go: the driver is told that there is none, and requests that come fail. Those that have begun go on,
    /// until [`Self::change`].
    pub fn release(&mut self, context: &mut Context<'_>) {
        if let Some(medium) = &mut self.medium {
            medium.stay = Stay::Leaves;
            self.geometry.sectors = 0;
            context.config_changed();
        }
    }

    /// Whether there is a disk that was let go.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.medium.as_ref().is_some_and(|medium| medium.stay == Stay::Leaves)
    }

    /// Exchanges the disk. All requests fail.
    pub fn change(&mut self, medium: Option<Medium>, context: &mut Context<'_>) -> Option<Medium> {
        let sectors = medium.as_ref().map_or(0, |medium| medium.geometry.sectors);
        let like = medium.as_ref().map_or(self.geometry, |medium| medium.geometry);
        self.geometry = Geometry { sectors, block_bytes: self.block_bytes, ..like };
        let old = core::mem::replace(&mut self.medium, medium);
        self.life = Name::next_life(self.life);
        self.current = None;
        for index in 0..table::PLACES as u8 {
            if let Some(running) = self.table.get(index) {
                running.status = Status::Error;
                running.durability = Durability::Unasked;
                self.end(index, context);
            }
        }
        context.config_changed();
        self.go_on(context);
        old
    }

    /// The disk has something to say.
    pub fn hear(&mut self, news: Vec<News>, context: &mut Context<'_>) {
        let mut is_late = false;
        for news in news {
            match news {
                News::Ended(Completed { result: Err(DiskError::Late), .. }) => is_late = true,
                News::Ended(_) | News::Room => {
                    if let Some(medium) = &mut self.medium {
                        medium.health = Health::Good;
                    }
                }
            }
            if let News::Ended(completed) = news
                && Name::of(completed.id).life == self.life
            {
                self.piece_ended(completed, context);
            }
        }
        self.go_on(context);
        if is_late && self.is_starved() {
            if let Some(medium) = &mut self.medium {
                medium.health = Health::Dead;
            }
            self.go_on(context);
        }
    }

    /// Whether there is something to do, but no buffer, and the disk has nothing that could bring one.
    fn is_starved(&self) -> bool {
        self.current.is_some() && self.medium.as_ref().is_some_and(|medium| medium.in_flight == 0)
    }
}

fn name_bytes(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    for (place, byte) in bytes.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    bytes
}

impl VirtioDevice for Block {
    fn device_id(&self) -> DeviceId {
        DeviceId::Block
    }

    fn features(&self) -> u64 {
        self.offered
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    fn read_config(&self, offset: u64, width: Width) -> u64 {
        let writes_back = u8::from(self.cache == Cache::WriteBack);
        let queues = self.queue_sizes.len() as u16;
        let space = Space::new(&self.geometry, writes_back, queues);
        config_space::read(space.bytes(), offset, width)
    }

    fn write_config(&mut self, offset: u64, width: Width, value: u64) {
        if offset == CACHE_MODE_OFFSET && width == Width::B1 && self.offered & F_CACHE_MODE != 0 {
            self.cache = if value & 1 == 0 { Cache::WriteThrough } else { Cache::WriteBack };
        }
    }

    fn activate(&mut self, features: u64, _: &mut Context<'_>) {
        self.agreed = features;
        // Who cannot flush relies on writes (5.2.5.2).
        if features & F_FLUSH == 0 {
            self.cache = Cache::WriteThrough;
        }
    }

    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        self.backlog |= 1 << (queue % crate::transport::MAX_QUEUES);
        self.work(context)
    }

    fn reset(&mut self) {
        self.life = Name::next_life(self.life);
        self.table.clear();
        self.current = None;
        self.backlog = 0;
        self.agreed = 0;
        self.cache = Cache::WriteBack;
        if let Some(medium) = &mut self.medium {
            medium.in_flight = 0;
            medium.unstarted = 0;
            medium.disk.cancel();
        }
    }
}

#[cfg(test)]
mod tests;
