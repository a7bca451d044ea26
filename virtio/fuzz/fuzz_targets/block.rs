//! Whatever a driver does to a disk's registers and memory, and whenever the disk answers, a reset makes it good.
#![no_main]

use hv_core::guest::{Device, GuestPhysAddr, Width};
use hv_core::time::Instant;
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use virtio::block::{Block, Medium, Setup};
use virtio::disk::buffer::PoolSize;
use virtio::disk::host::{HostDisk, PollBell};
use virtio::disk::overlay::RamDisk;
use virtio::disk::page::{PAGE_BYTES, PageStore};
use virtio::disk::raw::{RawCompleted, RawDisk, Refused, Token};
use virtio::disk::{
    Access, BufferPool, Cache, Completer, Disk, DiskError, Geometry, News, Operation,
    SectorRange,
};
use virtio::queue::QueueKind;
use virtio::testing::guest::{Guest, RAM_BASE, Taste};

const SECTORS: u64 = 256;
/// The bytes that the disk has everywhere: nothing else is ever read from it.
const FILL: u8 = 0xd5;

struct Pages;

impl PageStore for Pages {
    type Page = Box<[u8]>;
    fn take_zeroed(&self) -> Option<Box<[u8]>> {
        Some(vec![0; PAGE_BYTES].into_boxed_slice())
    }
}

/// Commands that the disk has.
type Commands = Arc<Mutex<VecDeque<(Token, Operation)>>>;

struct Driver(Commands, Arc<Mutex<Vec<RawCompleted>>>);

impl RawDisk for Driver {
    fn geometry(&self) -> Geometry {
        geometry()
    }
    fn depth(&self) -> usize {
        8
    }
    fn submit(&mut self, token: Token, operation: Operation) -> Result<(), Refused> {
        assert!(operation.range().unwrap().is_within(SECTORS));
        self.0.lock().unwrap().push_back((token, operation));
        Ok(())
    }
    fn start(&mut self) {}
    fn poll(&mut self) -> Option<RawCompleted> {
        self.1.lock().unwrap().pop()
    }
}

fn geometry() -> Geometry {
    Geometry {
        sectors: SECTORS,
        block_bytes: 512,
        physical_exponent: 0,
        minimum_blocks: 0,
        optimal_blocks: 0,
        access: Access::ReadWrite,
        cache: Cache::WriteBack,
        discard: None,
        write_zeroes: None,
    }
}

struct Silent;

impl PollBell for Silent {
    fn ring(&self) {}
}

#[derive(Default)]
struct Inbox(Mutex<Vec<News>>);

impl Completer for Inbox {
    fn hear(&self, news: Vec<News>) {
        self.0.lock().unwrap().extend(news);
    }
}

/// What happens next: the driver's accesses, bytes in its RAM, the disk's answers.
type Step = (u8, u16, u32);

fuzz_target!(|input: (bool, bool, Vec<u8>, Vec<Step>)| {
    let (is_packed, is_asynchronous, bytes, steps) = input;
    let commands = Commands::default();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let driver = Driver(Arc::clone(&commands), Arc::clone(&ends));
    let host = HostDisk::new(Box::new(driver), Duration::from_secs(1), Arc::new(Silent));
    let all = SectorRange::new(0, SECTORS).unwrap();
    let disk: Arc<dyn Disk> = if is_asynchronous {
        Arc::new(host.open(all, Access::ReadWrite).unwrap())
    } else {
        Arc::new(RamDisk::empty(Pages, SECTORS).unwrap())
    };
    let inbox = Arc::new(Inbox::default());
    let completer: Weak<Inbox> = Arc::downgrade(&inbox);
    disk.connect(completer);
    let setup = Setup { name: "fuzz", queues: 2, geometry: disk.geometry() };
    let kind = if is_packed { QueueKind::Packed } else { QueueKind::Split };
    let mut guest = Guest::new(Block::new(setup), Taste { kind, ..Taste::default() });
    let pool = BufferPool::new(PoolSize { small: 4, large: 2 }).unwrap();
    let medium = Medium::new(disk, pool);
    guest.device.call(|block, context| block.change(Some(medium), context));
    guest.ram.put(GuestPhysAddr(RAM_BASE), &bytes);
    let mut now = Instant(0);
    let end = |index: usize, result: Result<(), DiskError>| {
        let mut commands = commands.lock().unwrap();
        let index = index % commands.len().max(1);
        let Some((token, mut operation)) = commands.remove(index) else { return };
        if let Operation::Read { buffer, .. } = &mut operation {
            buffer.fill(FILL);
        }
        ends.lock().unwrap().push(RawCompleted { token, result, buffer: operation.into_buffer() });
    };
    let deliver = |guest: &mut Guest<Block>| {
        let news = std::mem::take(&mut *inbox.0.lock().unwrap());
        guest.device.call(|block, context| block.hear(news, context));
    };
    for (what, place, value) in steps {
        let offset = u64::from(place % 0x200);
        match what % 8 {
            0 => guest.set(0x050, value % 4),
            1 => guest.device.write(offset, Width::B4, u64::from(value), now),
            2 => guest.device.write(offset, Width::B1, u64::from(value), now),
            3 => drop(guest.device.read(offset, Width::B8, now)),
            4 => {
                let _ = guest.device.poll();
            }
            5 => {
                let is_good = value % 4 != 0;
                end(usize::from(place), if is_good { Ok(()) } else { Err(DiskError::Medium) });
            }
            6 => {
                now = Instant(now.0 + u64::from(value));
                host.poll(now);
                deliver(&mut guest);
            }
            _ => guest.ram.put(GuestPhysAddr(RAM_BASE + u64::from(place)), &value.to_le_bytes()),
        }
    }
    let settle = |guest: &mut Guest<Block>| {
        // More than the pool, the driver and the table have.
        for _ in 0..200 {
            for _ in 0..8 {
                end(0, Ok(()));
            }
            host.poll(now);
            deliver(guest);
            let _ = guest.device.poll();
        }
    };
    settle(&mut guest);
    guest.start();
    let id = guest.send(0, &[&[0; 16]], &[512, 1]).unwrap();
    settle(&mut guest);
    let done = guest.take(0).unwrap();
    assert_eq!((done.id, done.len, done.data.last()), (id, 513, Some(&0)));
    if is_asynchronous {
        assert!(done.data[..512].iter().all(|byte| *byte == FILL));
    }
    assert_eq!(guest.device.device().running(), 0);
});
