//! Page tables that are not in memory, that go round in circles, that change while they are walked.

use core::sync::atomic::{AtomicBool, Ordering};

use guest::arch::mmio::Registers;
use guest::arch::{lapic, paging};
use guest::board::Board;
use guest::{cpu, println, smp, time, trap, write_control};

use super::code::{self, Code};
use crate::report::{Outcome, equal};

/// Present, writable.
const TABLE: u64 = 3;
/// The entries of the highest table that are changed: each covers 512 GiB.
const SLOT: usize = 2;
const SLOT_SHIFT: usize = 39;

/// The virtual address with these indices, from the highest table on.
const fn address(indices: [usize; 4]) -> usize {
    indices[0] << 39 | indices[1] << 30 | indices[2] << 21 | indices[3] << 12
}

fn set(entry: u64) {
    // SAFETY: Rust uses nothing of what this entry covers.
    unsafe { paging::root().set(SLOT, entry) };
    cpu::flush_tlb();
}

fn access(place: usize) {
    // SAFETY: where this leads to nobody knows, but no memory of Rust's.
    let nothing = unsafe { Registers::new(place) };
    let mut value = 0;
    match trap::expect(|| value = nothing.read32(0)) {
        Some(trap) => println!("probe: info walk {place:#x}: {trap}"),
        None => println!("probe: info walk {place:#x}: {value:#x}"),
    }
}

/// The tables of one slot are nowhere; the guest runs on in the others.
pub(super) fn run(board: &'static Board) -> Outcome {
    for table in [board.ram.end() as u64, 0xdead_0000, lapic::PAGE as u64, 0x7f_ffff_f000] {
        println!("probe: info walk of tables at {table:#x}");
        set(table | TABLE);
        access(SLOT << SLOT_SHIFT);
    }
    set(0);
    Ok(())
}

/// All tables are nowhere: not even a handler can be fetched.
pub(super) fn crash(board: &'static Board) -> Outcome {
    println!("probe: info walk of tables behind RAM, for all");
    write_control!("cr3", board.ram.end() as u64);
    Ok(())
}

/// A table that is its own entry, and devices behind it.
pub(super) fn loops(_: &'static Board) -> Outcome {
    set(paging::root().address() | TABLE);
    // The table itself, at each level.
    access(address([SLOT, SLOT, SLOT, SLOT]));
    access(address([SLOT, SLOT, SLOT, 0]));
    access(address([SLOT, SLOT, 0, 0]));
    // A large page's entry taken for a small one's: somewhere behind RAM.
    access(address([SLOT, SLOT, 0, 100]));
    // The last GiB below 4 GiB, where the local APIC is.
    access(address([SLOT, 0, 3, 0]) + 0xff7 * 0x1000);
    set(0);
    Ok(())
}

static CODE: Code = Code::new();
static STOP: AtomicBool = AtomicBool::new(false);

/// Another CPU takes away, and gives back, the mapping of an instruction that accesses a device.
pub(super) fn race(board: &'static Board) -> Outcome {
    // `mov eax, [rdi]; ret`.
    CODE.put(0, &[0x8b, 0x07, 0xc3]);
    if board.cpu_count > 1 {
        equal(smp::start(board, 1, flip), 0, "start")?;
    } else {
        println!("probe: info walk-race alone");
        set(paging::root().get(0));
    }
    let alias = (SLOT << SLOT_SHIFT) as u64 + CODE.address();
    let end = time::now() + time::ticks_of_ms(1000 * board.number("seconds", 2));
    let (mut rounds, mut traps) = (0_u64, 0_u64);
    while time::now() < end {
        cpu::flush_tlb();
        let device = (SLOT << SLOT_SHIFT) as u64 + 0xfec0_0000;
        let trap = trap::expect(|| {
            code::call(alias, device, 0);
        });
        traps += u64::from(trap.is_some());
        rounds += 1;
    }
    STOP.store(true, Ordering::SeqCst);
    println!("probe: info walk-race rounds={rounds} traps={traps}");
    Ok(())
}

extern "C" fn flip(_: usize) {
    let root = paging::root();
    // In its place: nothing, the table itself, the same mapping, a table that is nowhere.
    let entries =
        [root.get(0), 0, root.get(0), root.address() | TABLE, root.get(0), 0xdead_0000 | TABLE];
    for entry in entries.iter().cycle() {
        if STOP.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: Rust uses nothing of what this entry covers.
        unsafe { root.set(SLOT, *entry) };
        for _ in 0..50 {
            cpu::yield_now();
        }
    }
}
