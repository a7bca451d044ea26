//! Loads, for `make bench`: requests to a disk past the page cache, lines to a console. What they took is counted in ticks
//! of the CPU's counter and printed at the end: `load: COUNT requests, CALLS batches, TICKS ticks`, of which the ticks are
//! the median batch's. (An emulator's disk is served by another thread: now and then it lets the guest wait.)

use core::cell::UnsafeCell;
use core::ffi::CStr;

use crate::arch::{self, IO_GETEVENTS, IO_SETUP, IO_SUBMIT, LSEEK, O_DIRECT, OPENAT, WRITE, call};
use crate::{AT_FDCWD, check, print, print_number};

const O_WRITE: usize = 1;
const SEEK_END: usize = 2;
/// The most requests at once.
const MOST_DEPTH: usize = 64;
/// The most batches.
const MOST_BATCHES: usize = 1 << 14;
/// Bytes of all requests at once.
const BUFFER_BYTES: usize = 4 << 20;

/// Memory of this program; a page is as much as any disk wants it aligned to.
#[repr(C, align(4096))]
struct Memory<T>(UnsafeCell<T>);

// SAFETY: this program has one thread.
unsafe impl<T> Sync for Memory<T> {}

static BUFFER: Memory<[u8; BUFFER_BYTES]> = Memory(UnsafeCell::new([0; BUFFER_BYTES]));
/// What each batch took.
static TICKS: Memory<[u64; MOST_BATCHES]> = Memory(UnsafeCell::new([0; MOST_BATCHES]));

/// `struct iocb` (include/uapi/linux/aio_abi.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Control {
    data: u64,
    key: u32,
    flags: u32,
    opcode: u16,
    priority: i16,
    file: u32,
    buffer: u64,
    bytes: u64,
    offset: u64,
    reserved: u64,
    more_flags: u32,
    event_file: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    data: u64,
    object: u64,
    result: i64,
    result2: i64,
}

/// What requests do.
#[derive(Clone, Copy)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Where requests go.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    Sequential,
    Random,
}

/// Requests of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) direction: Direction,
    pub(crate) order: Order,
    /// Of a request.
    pub(crate) bytes: usize,
    /// How many requests the disk is given at once.
    pub(crate) depth: usize,
    /// How many in all.
    pub(crate) count: usize,
}

/// Where the next request goes: the same places in each run.
struct Places {
    order: Order,
    slots: u64,
    state: u64,
}

impl Places {
    fn next(&mut self) -> u64 {
        match self.order {
            Order::Sequential => {
                let slot = self.state % self.slots;
                self.state += 1;
                slot
            }
            Order::Random => {
                // Marsaglia's xorshift64.
                self.state ^= self.state << 13;
                self.state ^= self.state >> 7;
                self.state ^= self.state << 17;
                self.state % self.slots
            }
        }
    }
}

/// Makes the requests, and says what they took.
pub(crate) fn disk(path: &CStr, load: Load) -> Option<()> {
    let Load { direction, order, bytes, depth, count } = load;
    if bytes == 0 || !(1..=MOST_DEPTH).contains(&depth) || bytes.checked_mul(depth)? > BUFFER_BYTES
    {
        return None;
    }
    let (opcode, flags) = match direction {
        Direction::Read => (0, O_DIRECT),
        Direction::Write => (1, O_DIRECT | O_WRITE),
    };
    let file = check(call(OPENAT, [AT_FDCWD as usize, path.as_ptr().addr(), flags, 0]))?;
    let size = check(call(LSEEK, [file, 0, SEEK_END, 0]))?;
    let mut places = Places { order, slots: (size / bytes) as u64, state: 1 };
    if places.slots == 0 {
        return None;
    }
    let buffer = BUFFER.0.get().cast::<u8>();
    for at in 0..bytes * depth {
        // Each page is there before the clock starts, and no two are the same.
        // SAFETY: it is inside of the buffer, as was checked above.
        unsafe { buffer.add(at).write_volatile((at / 4096 + at) as u8) };
    }
    let mut context = 0_usize;
    check(call(IO_SETUP, [depth, (&raw mut context).expose_provenance(), 0, 0]))?;

    let mut controls = [Control::default(); MOST_DEPTH];
    let mut events = [Event::default(); MOST_DEPTH];
    let mut pointers = [0_usize; MOST_DEPTH];
    for (index, control) in controls.iter_mut().enumerate().take(depth) {
        *control = Control {
            data: index as u64,
            opcode,
            file: file as u32,
            buffer: (buffer.expose_provenance() + index * bytes) as u64,
            bytes: bytes as u64,
            ..Control::default()
        };
        *events.get_mut(index)? = Event { data: index as u64, ..Event::default() };
    }
    // SAFETY: this function is called once, and nobody else knows this memory.
    let all_ticks = unsafe { &mut *TICKS.0.get() };
    let (mut begun, mut ended, mut free, mut batches) = (0, 0, depth, 0);
    let mut start = arch::counter();
    while ended < count {
        // As many again as have ended.
        let batch = free.min(count - begun);
        for (event, pointer) in events.iter().zip(&mut pointers).take(batch) {
            let control = controls.get_mut(event.data as usize)?;
            control.offset = places.next() * bytes as u64;
            *pointer = (&raw mut *control).expose_provenance();
        }
        let mut given = 0;
        while given < batch {
            let rest = pointers.get(given..)?.as_ptr().expose_provenance();
            given += check(call(IO_SUBMIT, [context, batch - given, rest, 0]))?;
        }
        begun += batch;
        let place = events.as_mut_ptr().expose_provenance();
        // No limit of time: the fifth argument is null.
        free = check(call(IO_GETEVENTS, [context, 1, MOST_DEPTH, place]))?;
        if events.iter().take(free).any(|event| event.result != bytes as i64) {
            return None;
        }
        ended += free;
        let now = arch::counter();
        *all_ticks.get_mut(batches)? = now - start;
        start = now;
        batches += 1;
    }
    let ticks = all_ticks.get_mut(..batches)?;
    ticks.sort_unstable();
    report(count, batches, *ticks.get(batches / 2)?)
}

/// Writes lines of 80 characters to standard output, one at a time; all of them are one batch.
pub(crate) fn lines(count: usize) -> Option<()> {
    let mut line = [b'-'; 81];
    *line.last_mut()? = b'\n';
    let start = arch::counter();
    for _ in 0..count {
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            let taken = check(call(WRITE, [1, rest.as_ptr().addr(), rest.len(), 0]))?;
            rest = rest.get(taken..)?;
        }
    }
    report(count, 1, arch::counter() - start)
}

fn report(requests: usize, batches: usize, ticks: u64) -> Option<()> {
    print("load: ")?;
    print_number(requests as u64)?;
    print(" requests, ")?;
    print_number(batches as u64)?;
    print(" batches, ")?;
    print_number(ticks)?;
    print(" ticks\n")
}
