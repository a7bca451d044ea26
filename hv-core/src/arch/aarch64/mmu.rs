//! EL2's own address space: every physical address at itself, with our text read-only and everything else not
//! executable; and stacks, each above a page that is never mapped.

// UNSAFETY: the first tables are a static, written before there is anything else.
#![expect(unsafe_code)]

use super::discovery::Platform;
use super::insn;
use super::stage::Stage1;
use crate::machine::Range;
use crate::memory::{FrameTables, Frames};
use crate::paging::{self, MapError, Mapping, Memory, PAGE_SIZE, Perms, Tables};
use crate::sync::Mutex;
use core::cell::UnsafeCell;

/// `SCTLR_EL2` with everything off: its RES1 bits. Arm ARM D19.2.119.
pub(super) const SCTLR_RES1: u64 = 0x30c5_0830;
/// MMU, data cache, stack alignment check, instruction cache, and writable implies never executed.
pub(super) const SCTLR_ON: u64 = SCTLR_RES1 | 1 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// `TCR_EL2`: 48 bits, 4 KiB granule, inner shareable write-back walks; PS is added at run time. D19.2.139.
pub(super) const TCR: u64 = 1 << 31 | 1 << 23 | 16 | 1 << 8 | 1 << 10 | 3 << 12;

const EARLY_TABLES: usize = 32;

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
}

/// Where stacks appear: far above all physical addresses that are mapped at themselves.
const STACKS: u64 = 0x7f00_0000_0000;

static HOST: Mutex<Option<Host>> = Mutex::new(None);

fn identity(range: Range, perms: Perms, memory: Memory) -> Mapping {
    Mapping { virt: range.start, phys: range.start, len: range.len(), perms, memory }
}

/// Builds the first tables; returns the address of the root. The MMU is off.
pub(super) fn build(platform: &Platform) -> Result<u64, MapError> {
    let mut tables = Early;
    let root = tables.alloc().ok_or(MapError::NoMemory)?;
    let image = insn::image_layout();
    let whole_image = Range { start: image.start, end: image.end };
    let mut add = |mapping| paging::map::<Stage1>(&mut tables, root, mapping);
    for (start, end, perms) in [
        (image.start, image.text_end, Perms::RX),
        (image.text_end, image.rodata_end, Perms::R),
        (image.rodata_end, image.guard, Perms::RW),
        (image.guard + PAGE_SIZE, image.end, Perms::RW),
    ] {
        add(identity(Range { start, end }, perms, Memory::Normal))?;
    }
    let holes =
        || platform.no_map.iter().flatten().map(|hole| hole.page_aligned()).chain([whole_image]);
    for ram in platform.ram.iter().flatten() {
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
    for device in platform.devices.iter().flatten() {
        add(identity(device.page_aligned(), Perms::RW, Memory::Device))?;
    }
    Ok(root)
}

/// Takes the tables over, once there are frames.
pub(super) fn adopt(root: u64) {
    *HOST.lock() =
        Some(Host { root, tables: FrameTables::default(), next_stack: STACKS, stack_bytes: 0 });
}

/// The root of the tables.
pub(super) fn root() -> u64 {
    HOST.lock().as_ref().map_or(0, |host| host.root)
}

/// Bytes of all stacks that [`new_stack`] made, and of the tables that are not in the image.
pub(super) fn bytes() -> (u64, u64) {
    HOST.lock().as_ref().map_or((0, 0), |host| (host.stack_bytes, host.tables.bytes()))
}

/// A stack of `pages` pages above a page that is never mapped; the address of its top. It is never freed.
pub(super) fn new_stack(pages: usize) -> Option<u64> {
    let frames = Frames::run(pages)?;
    let mut host = HOST.lock();
    let Host { root, tables, next_stack, stack_bytes } = host.as_mut()?;
    let bottom = *next_stack + PAGE_SIZE;
    let mapping = Mapping {
        virt: bottom,
        phys: frames.addr(),
        len: frames.len(),
        perms: Perms::RW,
        memory: Memory::Normal,
    };
    paging::map::<Stage1>(tables, *root, mapping).ok()?;
    // The new entries replace invalid ones, so a barrier is enough; D8.14.
    insn::dsb_ishst();
    insn::isb();
    *stack_bytes += frames.len();
    *next_stack = bottom + frames.len();
    let top = *next_stack;
    frames.leak();
    Some(top)
}
