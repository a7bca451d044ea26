//! The smallest guest: greets, counts a few seconds by the timer, powers off.
//!
//! `count=N` on its command line counts to N (3 unless said).
#![no_std]
#![no_main]

use guest::board::Board;
use guest::{cpu, gic, println, time, trap};

#[unsafe(no_mangle)]
fn guest_main(board: &'static Board) {
    println!("hello: greetings from EL{}", cpu::exception_level());
    println!(
        "hello: {} MiB of RAM at {:#x}, {} CPU(s), GICv{}, timer at {} kHz",
        board.ram.size >> 20,
        board.ram.start,
        board.cpu_count,
        gic::version(),
        time::frequency() / 1000,
    );
    if cpu::exception_level() == 1 {
        trap::on_interrupt(|_| time::stop_virtual());
        gic::start();
        gic::enable(board.timer.virtual_);
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
    time::start_virtual(deadline);
    while time::now() < deadline {
        if cpu::exception_level() == 1 {
            // Interrupts are masked here, and a pending one ends WFI even so: it cannot slip in between the look at the time and
            // the wait. It must be taken then, or it stays pending, and the next wait ends at once.
            cpu::wait_for_interrupt();
            cpu::unmask_interrupts();
            cpu::instruction_barrier();
            cpu::mask_interrupts();
        } else {
            cpu::yield_now();
        }
    }
    time::stop_virtual();
}
