//! Other CPUs.

use core::cell::UnsafeCell;

use super::psci::{self, function};
use super::trap;
use crate::board::{Board, MAX_CPUS};

const STACK: usize = 16 << 10;

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: each is used by the one CPU that it was given to.
unsafe impl Sync for Stack {}

static STACKS: [Stack; MAX_CPUS] = [const { Stack(UnsafeCell::new([0; STACK])) }; MAX_CPUS];

/// What `guest_secondary` of entry.S reads.
#[repr(C)]
struct Start {
    stack: usize,
    vectors: usize,
    body: extern "C" fn(usize),
    index: usize,
}

struct Starts(UnsafeCell<[Start; MAX_CPUS]>);

// SAFETY: a block is written before its CPU starts, and read by that CPU only.
unsafe impl Sync for Starts {}

extern "C" fn nothing(_: usize) {}

static STARTS: Starts = Starts(UnsafeCell::new(
    [const { Start { stack: 0, vectors: 0, body: nothing, index: 0 } }; MAX_CPUS],
));

unsafe extern "C" {
    fn guest_secondary();
}

/// Where a secondary CPU is to be started, for PSCI's CPU_ON.
pub fn entry() -> u64 {
    guest_secondary as *const () as u64
}

/// Starts CPU `index` of the board in `body`, which gets the index; when it returns, the CPU sleeps for ever.
/// Returns PSCI's answer: 0 is success.
pub fn start(board: &Board, index: usize, body: extern "C" fn(usize)) -> i64 {
    let (Some(cpu), Some(stack)) = (board.cpus().get(index), STACKS.get(index)) else {
        return -2;
    };
    let block =
        Start { stack: stack.0.get().addr() + STACK, vectors: trap::vectors(), body, index };
    // SAFETY: the index was checked; the CPU is off, or PSCI refuses it and the block stays as it was.
    let context = unsafe {
        let slot = STARTS.0.get().cast::<Start>().add(index);
        if (*slot).body as usize != body as usize || (*slot).stack == 0 {
            slot.write_volatile(block);
        }
        slot.addr()
    };
    psci::call(board.devices.conduit, function::CPU_ON, *cpu, entry(), context as u64)
}

/// Stops the calling CPU. Returns PSCI's answer, when it does not.
pub fn stop(board: &Board) -> i64 {
    psci::call(board.devices.conduit, function::CPU_OFF, 0, 0, 0)
}

/// Whether the CPU is on (0), off (1) or between (2); a negative error.
pub fn state(board: &Board, affinity: u64) -> i64 {
    psci::call(board.devices.conduit, function::AFFINITY_INFO, affinity, 0, 0)
}

/// Whether the CPU with this index of the board is off.
pub fn is_off(board: &Board, index: usize) -> bool {
    board.cpus().get(index).is_some_and(|affinity| state(board, *affinity) == 1)
}
