//! The driver of a block device: one queue, whose commands end in any order.
//!
//! The crate below has a driver of its own, but that one waits for flushes; so this uses the crate's queue and transports.

// UNSAFETY: the device reads and writes memory that it is given by address.
#![expect(unsafe_code)]

use super::config::{self, feature};
use super::flight::{Direction, Flight, HEADER_BYTES, RANGE_BYTES, SERIAL_BYTES, encode, lend};
use super::{Command, CommandError, DiskInfo, Ended, Refusal, Refused, WriteCache};
use crate::arch::current as arch;
use crate::device::{Slot, Vectors};
use crate::dma::Direct;
use crate::memory::{Dirty, Frames, Zeroed};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, SomeTransport, Transport};

/// Commands at once.
const DEPTH: usize = 32;
/// Each command has at most three descriptors.
const DESCRIPTORS: usize = 128;
const QUEUE: u16 = 0;
/// Bytes of a command's part of the page that the device sees: the header, a range, and the status.
const SLOT_BYTES: u64 = 64;
const RANGE_AT: u64 = 16;
const STATUS_AT: u64 = 32;

const _: () = assert!(DEPTH * 3 <= DESCRIPTORS);
const _: () = assert!(DEPTH as u64 * SLOT_BYTES <= crate::paging::PAGE_SIZE);

/// Whether the device still does what the specification says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    Sound,
    Broken,
}

/// The driver of one disk.
pub struct DiskDriver {
    info: DiskInfo,
    transport: SomeTransport<'static>,
    queue: Box<VirtQueue<Direct, DESCRIPTORS>>,
    flights: [Option<Flight>; DEPTH],
    /// `None` once it is dropped.
    page: Option<Frames<Zeroed>>,
    /// Whether something was submitted that the device wants to be told of.
    wants_start: bool,
    health: Health,
}

impl fmt::Debug for DiskDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskDriver of {:?}", self.info)
    }
}

impl DiskDriver {
    /// Takes the device into use. A disk that does not soon answer what it calls itself has no name.
    pub(crate) fn new(mut slot: Slot) -> Result<Self, &'static str> {
        let features = slot.negotiate(feature::WANTED)?;
        let notice = slot.connect(Vectors::Queue);
        let Slot { mut transport, place, .. } = slot;
        let info = config::read(&transport, features, place, notice)
            .ok_or("its configuration makes no sense")?;
        let has_event_index = features & feature::EVENT_INDEX != 0;
        let queue = VirtQueue::new(&mut transport, QUEUE, false, has_event_index)
            .map_err(|_| "its queue is too short, or there is no memory for it")?;
        let page: Frames<Dirty> = Frames::one().ok_or("there is no memory for its commands")?;
        transport.finish_init();
        let mut disk = Self {
            info,
            transport,
            queue: Box::new(queue),
            flights: [const { None }; DEPTH],
            page: Some(page.zero()),
            wants_start: false,
            health: Health::Sound,
        };
        disk.identify();
        Ok(disk)
    }

    /// Asks the disk what it calls itself.
    fn identify(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(100);
        let memory = Box::new([0; SERIAL_BYTES]);
        if self.submit(u64::MAX, Command::Identify { memory }).is_err() {
            return;
        }
        self.start();
        let limit: Instant = arch::now() + PATIENCE;
        while arch::now() < limit {
            match self.poll() {
                Some(Ended { result: Ok(()), memory: Some(memory), .. }) => {
                    let text = memory.split(|&byte| byte == 0).next().unwrap_or_default();
                    if text.iter().all(|&byte| byte.is_ascii_graphic() || byte == b' ') {
                        self.info.serial = String::from_utf8_lossy(text).trim().into();
                    }
                    return;
                }
                Some(_) => return,
                None => arch::pause(),
            }
        }
    }

    /// What the disk is.
    #[must_use]
    pub fn info(&self) -> &DiskInfo {
        &self.info
    }

    /// How many commands it can have at once.
    #[must_use]
    pub fn depth(&self) -> usize {
        DEPTH
    }

    /// Bytes of the page that the device sees.
    fn part(&self, index: usize, at: u64, bytes: usize) -> *mut [u8] {
        let page = self.page.as_ref().map_or(0, Frames::addr);
        let address = page + index as u64 * SLOT_BYTES + at;
        let start = core::ptr::with_exposed_provenance_mut::<u8>(address as usize);
        core::ptr::slice_from_raw_parts_mut(start, bytes)
    }

    fn fill(&mut self, index: usize, at: u64, bytes: &[u8]) {
        let target = self.part(index, at, bytes.len()).cast::<u8>();
        // SAFETY: within our page (all parts are, by the constants), and the device has no command of this index.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// Takes a command, which the caller calls `id`. The device need not hear of it before [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`Refused`], which has the command's memory.
    pub fn submit(&mut self, id: u64, command: Command) -> Result<(), Refused> {
        const NOT_READY: u8 = 0xff;
        let index = match self.place_for(&command) {
            Ok(index) => index,
            Err(why) => return Err(Refused { why, memory: command.into_memory() }),
        };
        let (header, range) = encode(&command);
        self.fill(index, 0, &header);
        self.fill(index, STATUS_AT, &[NOT_READY]);
        let (data, memory) = match command {
            Command::Read { memory, bytes, .. } => lend(memory, bytes, Direction::FromDevice),
            Command::Write { memory, bytes, .. } => lend(memory, bytes, Direction::ToDevice),
            Command::Identify { memory } => lend(memory, SERIAL_BYTES, Direction::FromDevice),
            Command::Flush => (None, None),
            Command::Discard { .. } | Command::WriteZeroes { .. } => {
                self.fill(index, RANGE_AT, &range);
                (Some((self.part(index, RANGE_AT, RANGE_BYTES), Direction::ToDevice)), None)
            }
        };
        let mut flight = Flight { id, token: 0, data, memory };
        let Ok(token) = self.add(index, &flight) else {
            // There are as many descriptors as all flights can have: it is the queue that is not as it was.
            self.health = Health::Broken;
            let why = Refusal::Failed(CommandError::Medium);
            return Err(Refused { why, memory: flight.reclaim() });
        };
        flight.token = token;
        if let Some(slot) = self.flights.get_mut(index) {
            *slot = Some(flight);
        }
        // What was put into the ring is seen before the device's wish to hear of it is read; 2.7.13.4.1.
        fence(Ordering::SeqCst);
        self.wants_start |= self.queue.should_notify();
        Ok(())
    }

    /// Where a command can go that the disk knows, and whose memory is as long as it says.
    fn place_for(&self, command: &Command) -> Result<usize, Refusal> {
        let is_possible = match command {
            Command::Read { memory, bytes, .. } | Command::Write { memory, bytes, .. } => {
                *bytes > 0 && *bytes <= memory.len() && u32::try_from(*bytes).is_ok()
            }
            Command::Identify { memory } => memory.len() >= SERIAL_BYTES,
            Command::Flush => self.info.cache == WriteCache::Volatile,
            Command::Discard { .. } => self.info.discard.is_some(),
            Command::WriteZeroes { .. } => self.info.write_zeroes.is_some(),
        };
        if self.health == Health::Broken {
            return Err(Refusal::Failed(CommandError::Medium));
        }
        if !is_possible {
            return Err(Refusal::Failed(CommandError::Unsupported));
        }
        self.flights.iter().position(Option::is_none).ok_or(Refusal::Busy)
    }

    /// What a flight consists of, for the queue.
    ///
    /// # Safety
    ///
    /// The device does not have the flight, or it has ended it; and these are used for one call of the queue only.
    unsafe fn parts<'a>(&self, index: usize, flight: &Flight) -> Parts<'a> {
        let (header, status) = (self.part(index, 0, HEADER_BYTES), self.part(index, STATUS_AT, 1));
        Parts {
            // SAFETY: in our page, where each flight has its own part.
            header: unsafe { &*header },
            data: match flight.data {
                None => Data::None,
                // SAFETY: the flight's own memory.
                Some((data, Direction::FromDevice)) => Data::In(unsafe { &mut *data }),
                // SAFETY: the flight's own memory, or its part of our page.
                Some((data, Direction::ToDevice)) => Data::Out(unsafe { &*data }),
            },
            // SAFETY: as the header.
            status: unsafe { &mut *status },
        }
    }

    /// Puts a flight's parts into the queue.
    fn add(&mut self, index: usize, flight: &Flight) -> virtio_drivers::Result<u16> {
        // SAFETY: the device does not have it yet.
        let Parts { header, data, status } = unsafe { self.parts(index, flight) };
        match data {
            // SAFETY: nobody touches the parts, which stay where they are, until the queue gives the flight back.
            Data::None => unsafe { self.queue.add(&[header], &mut [status]) },
            // SAFETY: as above.
            Data::In(data) => unsafe { self.queue.add(&[header], &mut [data, status]) },
            // SAFETY: as above.
            Data::Out(data) => unsafe { self.queue.add(&[header, data], &mut [status]) },
        }
    }

    /// Takes the flight out of the queue; returns how many bytes the device has written.
    fn pop(&mut self, index: usize, flight: &Flight) -> virtio_drivers::Result<u32> {
        let token = flight.token;
        // SAFETY: the queue says that the device has ended what has this token.
        let Parts { header, data, status } = unsafe { self.parts(index, flight) };
        match data {
            // SAFETY: they are the parts that `add` has put in under this token.
            Data::None => unsafe { self.queue.pop_used(token, &[header], &mut [status]) },
            // SAFETY: as above.
            Data::In(data) => unsafe { self.queue.pop_used(token, &[header], &mut [data, status]) },
            // SAFETY: as above.
            Data::Out(data) => unsafe {
                self.queue.pop_used(token, &[header, data], &mut [status])
            },
        }
    }

    /// Tells the device of what was submitted.
    pub fn start(&mut self) {
        if self.wants_start {
            self.wants_start = false;
            arch::publish_to_devices();
            self.transport.notify(QUEUE);
        }
    }

    /// A command that has ended since the last call, if there is one: never a wait.
    pub fn poll(&mut self) -> Option<Ended> {
        if self.health == Health::Broken {
            return None;
        }
        // That we want to hear of the next end is seen before we look for it; 2.7.7.1.
        fence(Ordering::SeqCst);
        let token = self.queue.peek_used()?;
        let has_token = |flight: &Flight| flight.token == token;
        let index = self.flights.iter().position(|slot| slot.as_ref().is_some_and(has_token));
        let Some((index, flight)) =
            index.and_then(|index| Some((index, self.flights.get_mut(index)?.take()?)))
        else {
            // It ends what was never begun: nothing that it says can be believed any more.
            self.health = Health::Broken;
            return None;
        };
        let Ok(written) = self.pop(index, &flight) else {
            self.health = Health::Broken;
            if let Some(slot) = self.flights.get_mut(index) {
                *slot = Some(flight);
            }
            return None;
        };
        let status = self.part(index, STATUS_AT, 1).cast::<u8>();
        // SAFETY: in our page; the device has done with it.
        let status = unsafe { status.read_volatile() };
        // What the device has not written is what was there before, which may be another guest's.
        let result = match status {
            0 if u64::from(written) > flight.wanted_bytes() => Ok(()),
            2 => Err(CommandError::Unsupported),
            _ => Err(CommandError::Medium),
        };
        Some(Ended { id: flight.id, result, memory: flight.reclaim() })
    }
}

/// What the queue is given of a flight.
struct Parts<'a> {
    header: &'a [u8],
    data: Data<'a>,
    status: &'a mut [u8],
}

enum Data<'a> {
    None,
    In(&'a mut [u8]),
    Out(&'a [u8]),
}

impl Drop for DiskDriver {
    /// Flights that are left keep their memory for ever, and the page with it.
    fn drop(&mut self) {
        self.transport.set_status(DeviceStatus::empty());
        if self.flights.iter().any(Option::is_some)
            && let Some(page) = self.page.take()
        {
            page.leak();
        }
    }
}
