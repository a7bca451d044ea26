//! probe
#![no_std]
#![no_main]
use guest::board::Board;
#[unsafe(no_mangle)]
fn guest_main(_board: &'static Board) {
    guest::println!("probe: done");
}
