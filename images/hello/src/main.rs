//! The smallest guest: greets, counts a few seconds by the timer, powers off.
//!
//! `count=N` on its command line counts to N (3 unless said).
#![no_std]
#![no_main]

use guest::board::Board;
use guest::{cpu, interrupt, println, time, trap};

#[unsafe(no_mangle)]
fn guest_main(board: &'static Board) {
    println!("hello: greetings from {}", cpu::privilege());
    println!(
        "hello: {} MiB of RAM at {:#x}, {} CPU(s), {}, timer at {} kHz",
        board.ram.size >> 20,
        board.ram.start,
        board.cpu_count,
        interrupt::name(),
        time::frequency() / 1000,
    );
    if cpu::takes_interrupts() {
        trap::on_interrupt(|_| time::stop());
        interrupt::start();
        interrupt::enable(time::interrupt(board));
    }
    let second = time::frequency();
    let start = time::now();
    for count in 1..=board.number("count", 3) {
        sleep_until(start + count * second);
        println!("hello: {count}");
    }
    println!("hello: goodbye");
}

fn sleep_until(deadline: u64) {
    while time::now() < deadline {
        // Again if it fired early: a PC's timer runs by another clock than the time is told by.
        time::start(deadline);
        if cpu::takes_interrupts() {
            // An interrupt must be taken, or it stays pending, and the next sleep ends at once.
            cpu::sleep();
        } else {
            cpu::yield_now();
        }
    }
    time::stop();
}
