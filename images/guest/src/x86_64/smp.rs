//! Other CPUs, by INIT and start-up IPIs (SDM vol. 3A, 9.4.4).

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

use super::{cpu, interrupt, lapic, trap};
use crate::board::{Board, MAX_CPUS};
use crate::time;

const STACK: usize = 16 << 10;
/// The page that CPUs start in, which the entry code knows too.
const PAGE: u32 = 8;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: each is used by the one CPU that it was given to.
unsafe impl Sync for Stack {}

static STACKS: [Stack; MAX_CPUS] = [const { Stack(UnsafeCell::new([0; STACK])) }; MAX_CPUS];

/// What a CPU does.
mod state {
    pub(super) const NEVER_STARTED: u8 = 0;
    pub(super) const STARTING: u8 = 1;
    pub(super) const ON: u8 = 2;
    pub(super) const OFF: u8 = 3;
}

static STATES: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(state::NEVER_STARTED) }; MAX_CPUS];
/// What the CPU that starts is to do; one at a time does.
static INDEX: AtomicUsize = AtomicUsize::new(0);
static BODY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

unsafe extern "C" {
    static guest_startup: u8;
    static guest_startup_end: u8;
    safe static guest_secondary_stack: AtomicUsize;
}

/// Starts CPU `index` of the board in `body`, which gets the index; when it returns, the CPU sleeps for ever.
/// Returns 0, or a negative number: -2 if there is none, -4 if it is on, -5 if it does not come.
pub fn start(board: &Board, index: usize, body: extern "C" fn(usize)) -> i64 {
    let (Some(target), Some(stack), Some(state)) =
        (board.cpus().get(index), STACKS.get(index), STATES.get(index))
    else {
        return -2;
    };
    if state.load(Ordering::SeqCst) == state::ON || *target == lapic::id() {
        return -4;
    }
    copy_startup();
    INDEX.store(index, Ordering::SeqCst);
    BODY.store(body as *mut (), Ordering::SeqCst);
    guest_secondary_stack.store(stack.0.get().addr() + STACK, Ordering::SeqCst);
    state.store(state::STARTING, Ordering::SeqCst);
    lapic::send_init(*target);
    time::spin_ms(10);
    // Twice, if the first goes by unheard; the second is for a slow machine with other work.
    for patience_ms in [20, 5000] {
        lapic::send_startup(*target, PAGE);
        let end = time::now() + time::ticks_of_ms(patience_ms);
        while time::now() < end {
            if state.load(Ordering::SeqCst) == state::ON {
                return 0;
            }
            cpu::yield_now();
        }
    }
    -5
}

/// Puts the code for real mode where CPUs start.
fn copy_startup() {
    let (start, end) = (&raw const guest_startup, &raw const guest_startup_end);
    let target: *mut u8 = core::ptr::without_provenance_mut((PAGE as usize) << 12);
    for offset in 0..end.addr() - start.addr() {
        // SAFETY: the code is that long; conventional memory is not Rust's.
        unsafe { target.add(offset).write_volatile(start.add(offset).read()) };
    }
}

/// Where entry.S comes to on another CPU.
#[unsafe(no_mangle)]
extern "C" fn guest_on_secondary() -> ! {
    let index = INDEX.load(Ordering::SeqCst);
    let body = BODY.load(Ordering::SeqCst);
    trap::load_gates();
    interrupt::start();
    if let Some(state) = STATES.get(index) {
        state.store(state::ON, Ordering::SeqCst);
    }
    // SAFETY: `start` has stored a function of this type.
    let body: extern "C" fn(usize) = unsafe { core::mem::transmute(body) };
    body(index);
    cpu::halt()
}

/// Stops the calling CPU: it can be started again.
pub fn stop(board: &Board) -> i64 {
    cpu::mask_interrupts();
    let own = lapic::id();
    if let Some(index) = board.cpus().iter().position(|cpu| *cpu == own)
        && let Some(state) = STATES.get(index)
    {
        state.store(state::OFF, Ordering::SeqCst);
    }
    cpu::halt()
}

/// Whether the CPU with this index of the board is off.
pub fn is_off(_: &Board, index: usize) -> bool {
    STATES.get(index).is_some_and(|state| state.load(Ordering::SeqCst) == state::OFF)
}
