//! Exceptions: interrupts go to a handler, a trap that was expected is noted and skipped, any other ends the guest.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::{cpu, gic};
use crate::{BOARD, power, println};

/// What the CPU had when it trapped. Its layout is that of `guest_exception` in vectors.S.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub registers: [u64; 31],
    /// Where.
    pub pc: u64,
    /// Why: ESR_EL1.
    pub syndrome: u64,
    /// FAR_EL1.
    pub address: u64,
}

const _: () = assert!(size_of::<Frame>() == 272);

/// A trap that was expected, and came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// ESR_EL1.
    pub syndrome: u64,
    /// FAR_EL1.
    pub address: u64,
    /// How many there were.
    pub count: u64,
}

impl Trap {
    /// The exception class (ESR.EC): 0 is an undefined instruction, 0x21 an instruction abort, 0x25 a data abort.
    pub fn class(self) -> u64 {
        self.syndrome >> 26
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "esr={:#x} far={:#x}", self.syndrome, self.address)
    }
}

/// Whether traps are expected now, and how to go on after one. Only one CPU at a time expects any.
static EXPECTED: AtomicBool = AtomicBool::new(false);
static RESUME_AT: AtomicU64 = AtomicU64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);
static SYNDROME: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);

static HANDLER: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    static guest_vectors: u8;
}

/// Where the vectors are, for VBAR_EL1.
pub fn vectors() -> usize {
    (&raw const guest_vectors).addr()
}

/// Has the CPU find no vectors from now on.
pub fn lose_vectors() {
    cpu::set_vectors(0xdead_0000);
}

/// Runs `body`; an instruction of it that traps is noted and skipped.
pub fn expect(body: impl FnOnce()) -> Option<Trap> {
    expect_or_resume(0, body)
}

/// As [`expect`], for a branch to nowhere: execution goes on at the link register of that moment.
pub fn expect_branch(body: impl FnOnce()) -> Option<Trap> {
    expect_or_resume(1, body)
}

fn expect_or_resume(resume_at_link: u64, body: impl FnOnce()) -> Option<Trap> {
    COUNT.store(0, Ordering::Relaxed);
    RESUME_AT.store(resume_at_link, Ordering::Relaxed);
    EXPECTED.store(true, Ordering::SeqCst);
    body();
    EXPECTED.store(false, Ordering::SeqCst);
    let count = COUNT.load(Ordering::Relaxed);
    (count > 0).then(|| Trap {
        syndrome: SYNDROME.load(Ordering::Relaxed),
        address: ADDRESS.load(Ordering::Relaxed),
        count,
    })
}

/// Sets what is called with the id of each interrupt, between its acknowledgement and its end.
pub fn on_interrupt(handler: fn(u32)) {
    HANDLER.store(handler as usize, Ordering::Release);
}

#[unsafe(no_mangle)]
extern "C" fn guest_on_interrupt() {
    let acknowledged = gic::acknowledge();
    let id = acknowledged & gic::ID_MASK;
    if id >= gic::FIRST_SPECIAL {
        return;
    }
    let handler = HANDLER.load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: only `on_interrupt` writes it, with a function of this type.
        let handler: fn(u32) = unsafe { core::mem::transmute(handler) };
        handler(id);
    }
    gic::end(acknowledged);
}

#[unsafe(no_mangle)]
extern "C" fn guest_on_exception(frame: &mut Frame, kind: u64) {
    if EXPECTED.load(Ordering::Relaxed) {
        COUNT.fetch_add(1, Ordering::Relaxed);
        SYNDROME.store(frame.syndrome, Ordering::Relaxed);
        ADDRESS.store(frame.address, Ordering::Relaxed);
        if RESUME_AT.load(Ordering::Relaxed) == 0 {
            frame.pc += 4;
        } else {
            frame.pc = frame.registers[30];
        }
        return;
    }
    println!(
        "guest: unexpected exception {kind}: esr={:#x} elr={:#x} far={:#x}",
        frame.syndrome, frame.pc, frame.address
    );
    match BOARD.get() {
        Some(board) => power::off(board),
        None => cpu::halt(),
    }
}
