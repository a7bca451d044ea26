//! Says each line that is typed, until one says `quit`. Input comes by the UART's interrupt.

use core::str;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use guest::board::Board;
use guest::{console, cpu, println, trap};

use crate::report::{Outcome, check};

const CAPACITY: usize = 1024;

/// What the interrupt's handler has read, and how much that is.
static TYPED: [AtomicU8; CAPACITY] = [const { AtomicU8::new(0) }; CAPACITY];
static END: AtomicUsize = AtomicUsize::new(0);

fn read_all(_: u32) {
    while let Some(byte) = console::get() {
        let end = END.load(Ordering::Relaxed);
        if let Some(slot) = TYPED.get(end % CAPACITY) {
            slot.store(byte, Ordering::Relaxed);
        }
        END.store(end + 1, Ordering::Relaxed);
    }
}

pub(super) fn run(board: &'static Board) -> Outcome {
    check(console::interrupt(board).is_some(), "the UART has no interrupt", 0)?;
    trap::on_interrupt(read_all);
    console::listen(board);
    println!("probe: info echo ready");
    let mut line = [0; 200];
    let (mut length, mut start) = (0, 0);
    loop {
        while END.load(Ordering::Relaxed) == start {
            cpu::sleep();
        }
        let byte = TYPED.get(start % CAPACITY).map_or(0, |slot| slot.load(Ordering::Relaxed));
        start += 1;
        if byte != b'\r' && byte != b'\n' {
            if let Some(slot) = line.get_mut(length) {
                *slot = byte;
                length += 1;
            }
            continue;
        }
        let text = line.get(..length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("?");
        println!("probe: echo '{text}'");
        if text == "quit" {
            console::deafen(board);
            return Ok(());
        }
        length = 0;
    }
}
