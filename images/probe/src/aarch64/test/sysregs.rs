//! System registers: all that can be encoded. What is not there must be undefined, and nothing worse.

use core::arch::asm;
use core::cell::UnsafeCell;

use guest::board::Board;
use guest::{println, read_register, trap};

use crate::report::{Outcome, check};

const UNDEFINED: u64 = 0;
const RET: u32 = 0xd65f_03c0;
const MRS: u32 = 0xd520_0000;
const MSR: u32 = 0xd500_0000;
const CAPACITY: usize = 0x8000 + 1;

/// Instructions that are made here, one behind the other, with `ret` at the end.
#[repr(C, align(64))]
struct Code(UnsafeCell<[u32; CAPACITY]>);

// SAFETY: only the first CPU runs tests.
unsafe impl Sync for Code {}

static CODE: Code = Code(UnsafeCell::new([0; CAPACITY]));

/// The fields of a register's name: S`op0`_`op1`_C`crn`_C`crm`_`op2`.
#[derive(Clone, Copy)]
struct Name {
    op0: u32,
    op1: u32,
    crn: u32,
    crm: u32,
    op2: u32,
}

impl Name {
    const fn instruction(self, base: u32) -> u32 {
        base | self.op0 << 19 | self.op1 << 16 | self.crn << 12 | self.crm << 8 | self.op2 << 5
    }
}

/// Reads every register.
pub(super) fn run(_: &'static Board) -> Outcome {
    identities();
    sweep("read", MRS, |name| name.op0 >= 2)?;
    check(read_register!("CurrentEL") == 4, "not at EL1", read_register!("CurrentEL"))
}

/// Writes zero to the registers that nobody documents, and to those for debugging and performance.
pub(super) fn write(_: &'static Board) -> Outcome {
    sweep("write", MSR, |name| name.op0 == 2 || (name.op0 == 3 && [9, 11, 15].contains(&name.crn)))
}

/// Executes every system instruction (caches, TLBs, address translation) on an address of its own.
pub(super) fn instructions(_: &'static Board) -> Outcome {
    sweep("execute", MSR, |name| name.op0 == 1)
}

fn sweep(what: &str, base: u32, wanted: impl Fn(Name) -> bool) -> Outcome {
    let mut length = 0;
    for index in 0..0x1_0000_u32 {
        let name = Name {
            op0: index >> 14,
            op1: index >> 11 & 7,
            crn: index >> 7 & 0xf,
            crm: index >> 3 & 0xf,
            op2: index & 7,
        };
        if wanted(name) && length < CAPACITY - 1 {
            put(length, name.instruction(base));
            length += 1;
        }
    }
    put(length, RET);
    // A page of its own, for what clears or cleans by address; zero is what writes write.
    static SCRATCH: Code = Code(UnsafeCell::new([0; CAPACITY]));
    let argument = if what == "execute" { SCRATCH.0.get().addr() as u64 } else { 0 };
    let trap = trap::expect(|| execute(length, argument));
    let (count, class) = trap.map_or((0, UNDEFINED), |trap| (trap.count, trap.class()));
    println!("probe: info sysregs {what}={length} undefined={count}");
    check(class == UNDEFINED, "a trap of another class", class)
}

fn put(index: usize, instruction: u32) {
    assert!(index < CAPACITY);
    // SAFETY: the index was checked; nobody else has a reference.
    unsafe { CODE.0.get().cast::<u32>().add(index).write_volatile(instruction) };
}

fn execute(length: usize, argument: u64) {
    let start = CODE.0.get().addr();
    for line in (start..=start + length * 4).step_by(16) {
        // SAFETY: cache maintenance of memory that is there.
        unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", in(reg) line, options(nostack)) };
    }
    // SAFETY: the code only has instructions with x0 and `ret`; those that trap are skipped.
    unsafe {
        asm!("dsb ish", "isb", "blr {code}", code = in(reg) start, inlateout("x0") argument => _,
            clobber_abi("C"));
    }
}

/// What the machine says that it is.
fn identities() {
    println!(
        "probe: info id midr={:#x} mpidr={:#x} pfr0={:#x} pfr1={:#x} isar0={:#x} isar1={:#x}",
        read_register!("midr_el1"),
        read_register!("mpidr_el1"),
        read_register!("id_aa64pfr0_el1"),
        read_register!("id_aa64pfr1_el1"),
        read_register!("id_aa64isar0_el1"),
        read_register!("id_aa64isar1_el1"),
    );
    println!(
        "probe: info id mmfr0={:#x} mmfr1={:#x} mmfr2={:#x} dfr0={:#x} zfr0={:#x}",
        read_register!("id_aa64mmfr0_el1"),
        read_register!("id_aa64mmfr1_el1"),
        read_register!("id_aa64mmfr2_el1"),
        read_register!("id_aa64dfr0_el1"),
        read_register!("S3_0_C0_C4_4"),
    );
}
