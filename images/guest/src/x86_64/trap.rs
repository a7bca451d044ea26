//! Exceptions: interrupts go to a handler, a trap that was expected is noted and ends what was tried, any other ends the
//! guest.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::{cpu, interrupt, lapic};
use crate::{BOARD, power, println, read_control};

/// What the CPU had when it trapped. Its layout is that of `guest_exception` in traps.S.
#[repr(C)]
pub struct Frame {
    /// R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX.
    pub registers: [u64; 15],
    /// Which exception.
    pub vector: u64,
    /// Its error code, or 0.
    pub error: u64,
    /// Where.
    pub rip: u64,
    /// CS.
    pub cs: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// RSP.
    pub rsp: u64,
    /// SS.
    pub ss: u64,
}

const _: () = assert!(size_of::<Frame>() == 22 * 8);

/// A trap that was expected, and came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Which exception.
    pub vector: u64,
    /// Its error code, or 0.
    pub error: u64,
    /// CR2.
    pub address: u64,
    /// Where.
    pub rip: u64,
}

/// Exceptions.
pub mod vector {
    /// Undefined instruction.
    pub const UNDEFINED: u64 = 6;
    /// General protection.
    pub const PROTECTION: u64 = 13;
    /// Page fault.
    pub const PAGE_FAULT: u64 = 14;
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vector, error, address, rip } = self;
        write!(f, "vector={vector} error={error:#x} cr2={address:#x} rip={rip:#x}")
    }
}

/// Whether traps are expected now. Only one CPU at a time expects any.
static EXPECTED: AtomicBool = AtomicBool::new(false);
static VECTOR: AtomicU64 = AtomicU64::new(0);
static ERROR: AtomicU64 = AtomicU64::new(0);
static ADDRESS: AtomicU64 = AtomicU64::new(0);
static RIP: AtomicU64 = AtomicU64::new(0);

static HANDLER: AtomicUsize = AtomicUsize::new(0);

const GATES: usize = 256;
/// Bytes from one gate's code to the next one's.
const GATE_CODE_BYTES: usize = 16;
/// The selector of 64-bit code.
const CODE: u64 = 0x18;
/// Present, an interrupt gate.
const GATE: u64 = 0x8e00;

#[repr(C, align(16))]
struct Gates(UnsafeCell<[[u64; 2]; GATES]>);

// SAFETY: all CPUs write the same.
unsafe impl Sync for Gates {}

static TABLE: Gates = Gates(UnsafeCell::new([[0; 2]; GATES]));

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

unsafe extern "C" {
    static guest_gates: u8;
    static guest_attempt_trapped: u8;
    safe static guest_attempt_stack: AtomicU64;
    fn guest_attempt(body: extern "C" fn(*mut u8), context: *mut u8) -> u32;
}

/// Has the calling CPU come here for all exceptions and interrupts.
pub(super) fn load_gates() {
    let code = (&raw const guest_gates).addr();
    for vector in 0..GATES {
        let code = (code + vector * GATE_CODE_BYTES) as u64;
        let low = code & 0xffff | CODE << 16 | GATE << 32 | (code & 0xffff_0000) << 32;
        // SAFETY: below the table's length; all CPUs write the same.
        unsafe { TABLE.0.get().cast::<[u64; 2]>().add(vector).write_volatile([low, code >> 32]) };
    }
    load(&Pointer { limit: (GATES * 16 - 1) as u16, base: TABLE.0.get().addr() as u64 });
}

fn load(pointer: &Pointer) {
    // SAFETY: the table is static, or empty on purpose.
    unsafe { asm!("lidt [{}]", in(reg) pointer, options(nostack, preserves_flags)) };
}

/// Has the CPU find no vectors from now on: an exception is a triple fault.
pub fn lose_vectors() {
    load(&Pointer { limit: 0, base: 0 });
}

/// Ends in a triple fault.
pub fn triple_fault() -> ! {
    lose_vectors();
    // SAFETY: there is no gate, so nothing is done.
    unsafe { asm!("ud2", options(nostack)) };
    cpu::halt()
}

/// Runs `body`; a trap is noted and ends it. What it holds then is not dropped.
pub fn expect(body: impl FnOnce()) -> Option<Trap> {
    extern "C" fn call<F: FnOnce()>(context: *mut u8) {
        // SAFETY: `attempt` passes what it was given below.
        if let Some(body) = unsafe { (*context.cast::<Option<F>>()).take() } {
            body();
        }
    }
    fn attempt<F: FnOnce()>(body: F) -> u32 {
        let mut body = Some(body);
        // SAFETY: the body outlives the call, which ends normally or at the trap.
        unsafe { guest_attempt(call::<F>, (&raw mut body).cast()) }
    }
    EXPECTED.store(true, Ordering::SeqCst);
    let trapped = attempt(body);
    EXPECTED.store(false, Ordering::SeqCst);
    (trapped != 0).then(|| Trap {
        vector: VECTOR.load(Ordering::Relaxed),
        error: ERROR.load(Ordering::Relaxed),
        address: ADDRESS.load(Ordering::Relaxed),
        rip: RIP.load(Ordering::Relaxed),
    })
}

/// As [`expect`]: a branch to nowhere is no different here.
pub fn expect_branch(body: impl FnOnce()) -> Option<Trap> {
    expect(body)
}

/// Sets what is called with the id of each interrupt, before its end.
pub fn on_interrupt(handler: fn(u32)) {
    HANDLER.store(handler as usize, Ordering::Release);
}

#[unsafe(no_mangle)]
extern "C" fn guest_on_interrupt(vector: u32) {
    if vector == interrupt::SPURIOUS {
        return;
    }
    let handler = HANDLER.load(Ordering::Acquire);
    if handler != 0 {
        // SAFETY: only `on_interrupt` writes it, with a function of this type.
        let handler: fn(u32) = unsafe { core::mem::transmute(handler) };
        handler(vector);
    }
    lapic::end();
}

#[unsafe(no_mangle)]
extern "C" fn guest_on_exception(frame: &mut Frame) {
    let address = read_control!("cr2");
    if EXPECTED.swap(false, Ordering::SeqCst) {
        VECTOR.store(frame.vector, Ordering::Relaxed);
        ERROR.store(frame.error, Ordering::Relaxed);
        ADDRESS.store(address, Ordering::Relaxed);
        RIP.store(frame.rip, Ordering::Relaxed);
        frame.rip = (&raw const guest_attempt_trapped).addr() as u64;
        frame.rsp = guest_attempt_stack.load(Ordering::Relaxed);
        return;
    }
    println!(
        "guest: unexpected exception {} error={:#x} rip={:#x} cr2={address:#x}",
        frame.vector, frame.error, frame.rip
    );
    match BOARD.get() {
        Some(board) => power::off(board),
        None => cpu::halt(),
    }
}
