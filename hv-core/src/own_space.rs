//! The hypervisor's own address space: every physical address at itself, with our text read-only and everything else not
//! executable; and stacks, each above a page that is never mapped. In the format of whichever architecture.

// UNSAFETY: the first tables are a static, written before there is anything else.
#![expect(unsafe_code)]

use crate::machine::Range;
use crate::memory::{FrameTables, Frames};
use crate::paging::{self, Format, MapError, Mapping, Memory, PAGE_SIZE, Perms, Tables};
use crate::sync::Mutex;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

/// The parts of our own image, as addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ImageLayout {
    pub(crate) start: u64,
    pub(crate) text_end: u64,
    pub(crate) rodata_end: u64,
    /// The page below the boot stack, which is never mapped.
    pub(crate) guard: u64,
    pub(crate) end: u64,
}

/// What is to be mapped beside the image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    /// RAM, read and written.
    pub(crate) ram: &'a [Option<Range>],
    /// Parts of RAM that are not mapped.
    pub(crate) holes: &'a [Option<Range>],
    /// Registers of devices.
    pub(crate) devices: &'a [Option<Range>],
    /// What is only read: tables of firmware.
    pub(crate) read_only: &'a [Option<Range>],
}

const EARLY_TABLES: usize = 48;

#[repr(C, align(4096))]
struct EarlyPool {
    tables: UnsafeCell<[[u64; 512]; EARLY_TABLES]>,
    used: UnsafeCell<usize>,
}

// SAFETY: only the boot CPU touches it, through `Early`, before any other CPU runs; after that the tables
// are reached as any other table is, under the lock of `HOST`.
unsafe impl Sync for EarlyPool {}

static POOL: EarlyPool =
    EarlyPool { tables: UnsafeCell::new([[0; 512]; EARLY_TABLES]), used: UnsafeCell::new(0) };

/// Tables from the image itself, while there is no pool of frames.
struct Early;

impl Tables for Early {
    fn alloc(&mut self) -> Option<u64> {
        // SAFETY: the boot CPU is alone.
        let used = unsafe { &mut *POOL.used.get() };
        let index = *used;
        if index == EARLY_TABLES {
            return None;
        }
        *used += 1;
        Some(POOL.tables.get().expose_provenance() as u64 + index as u64 * PAGE_SIZE)
    }

    fn read(&self, addr: u64, index: usize) -> u64 {
        FrameTables::default().read(addr, index)
    }

    fn write(&mut self, addr: u64, index: usize, entry: u64) {
        FrameTables::default().write(addr, index, entry);
    }
}

struct Host {
    root: u64,
    tables: FrameTables,
    next_stack: u64,
    stack_bytes: u64,
    /// Registers that were mapped since.
    devices: Vec<Range>,
}

/// Where stacks appear: far above all physical addresses that are mapped at themselves.
const STACKS: u64 = 0x7f00_0000_0000;

static HOST: Mutex<Option<Host>> = Mutex::new(None);

fn identity(range: Range, perms: Perms, memory: Memory) -> Mapping {
    Mapping { virt: range.start, phys: range.start, len: range.len(), perms, memory }
}

/// Builds the first tables, while there is no pool of frames; returns the address of the root. They are not in use yet.
pub(crate) fn build<F: Format>(image: ImageLayout, layout: &Layout<'_>) -> Result<u64, MapError> {
    let mut tables = Early;
    let root = tables.alloc().ok_or(MapError::NoMemory)?;
    let whole_image = Range { start: image.start, end: image.end };
    let mut add = |mapping| paging::map::<F>(&mut tables, root, mapping);
    for (start, end, perms) in [
        (image.start, image.text_end, Perms::RX),
        (image.text_end, image.rodata_end, Perms::R),
        (image.rodata_end, image.guard, Perms::RW),
        (image.guard + PAGE_SIZE, image.end, Perms::RW),
    ] {
        add(identity(Range { start, end }, perms, Memory::Normal))?;
    }
    let holes =
        || layout.holes.iter().flatten().map(|hole| hole.page_aligned()).chain([whole_image]);
    for ram in layout.ram.iter().flatten() {
        // RAM that does not fill its last page is of no use.
        let ram =
            Range { start: ram.start.next_multiple_of(PAGE_SIZE), end: ram.end & !(PAGE_SIZE - 1) };
        let mut at = ram.start;
        while at < ram.end {
            let inside = holes().find(|hole| hole.start <= at && at < hole.end);
            if let Some(hole) = inside {
                at = hole.end;
                continue;
            }
            let next = holes().map(|hole| hole.start).filter(|&start| start > at).min();
            let end = next.unwrap_or(ram.end).min(ram.end);
            add(identity(Range { start: at, end }, Perms::RW, Memory::Normal))?;
            at = end;
        }
    }
    for device in layout.devices.iter().flatten() {
        add(identity(device.page_aligned(), Perms::RW, Memory::Device))?;
    }
    for tables in layout.read_only.iter().flatten() {
        match add(identity(tables.page_aligned(), Perms::R, Memory::Normal)) {
            // In RAM, or beside other tables on their page.
            Ok(()) | Err(MapError::Mapped) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(root)
}

/// Takes the tables over, once there are frames.
pub(crate) fn adopt(root: u64) {
    *HOST.lock() = Some(Host {
        root,
        tables: FrameTables::default(),
        next_stack: STACKS,
        stack_bytes: 0,
        devices: Vec::new(),
    });
}

/// The root of the tables.
pub(crate) fn root() -> u64 {
    HOST.lock().as_ref().map_or(0, |host| host.root)
}

/// Bytes of all stacks that [`new_stack`] made, and of the tables that are not in the image.
pub(crate) fn bytes() -> (u64, u64) {
    HOST.lock().as_ref().map_or((0, 0), |host| (host.stack_bytes, host.tables.bytes()))
}

/// A stack of `pages` pages, aligned to its size in powers of two, above a page that is never mapped; the address of its
/// top. It is never freed. The caller sees to it that the CPU sees the new entries.
pub(crate) fn new_stack<F: Format>(pages: usize) -> Option<u64> {
    let frames = Frames::run(pages)?;
    let mut host = HOST.lock();
    let Host { root, tables, next_stack, stack_bytes, .. } = host.as_mut()?;
    let bottom = *next_stack;
    let mapping = Mapping {
        virt: bottom,
        phys: frames.addr(),
        len: frames.len(),
        perms: Perms::RW,
        memory: Memory::Normal,
    };
    paging::map::<F>(tables, *root, mapping).ok()?;
    *stack_bytes += frames.len();
    // As much again stays empty.
    *next_stack = bottom + 2 * frames.len().next_power_of_two();
    let top = bottom + frames.len();
    frames.leak();
    Some(top)
}

/// Maps registers of a device that was found since the boot. What another call has mapped may be among them, but nothing
/// else may. The caller sees to it that the CPU sees the new entries.
pub(crate) fn map_device<F: Format>(registers: Range) -> Result<(), MapError> {
    let mut host = HOST.lock();
    let Host { root, tables, devices, .. } = host.as_mut().ok_or(MapError::NoMemory)?;
    let registers = registers.page_aligned();
    devices.try_reserve(1).map_err(|_| MapError::NoMemory)?;
    let mut at = registers.start;
    while at < registers.end {
        if let Some(known) = devices.iter().find(|known| known.start <= at && at < known.end) {
            at = known.end;
            continue;
        }
        let next = devices.iter().map(|known| known.start).filter(|&start| start > at).min();
        let end = next.unwrap_or(registers.end).min(registers.end);
        paging::map::<F>(
            tables,
            *root,
            identity(Range { start: at, end }, Perms::RW, Memory::Device),
        )?;
        at = end;
    }
    devices.push(registers);
    Ok(())
}
