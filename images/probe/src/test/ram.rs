//! RAM is zero, except for what was loaded. Then it is filled, so that whoever comes next would see it.

use guest::board::Board;
use guest::{println, ram};

use crate::report::{Outcome, check};

const TRACE: u64 = 0x5ec2_e75e_c2e7_5ec2;

pub(super) fn run(board: &'static Board) -> Outcome {
    let mut pages = 0;
    let mut first_found = None;
    for page in ram::free_pages(board) {
        // SAFETY: a free page, and the only reference.
        let words = unsafe { ram::words(page) };
        if first_found.is_none() && words.iter().any(|word| *word != 0) {
            first_found = Some(page);
        }
        words.fill(TRACE);
        pages += 1;
    }
    println!("probe: info ram pages={pages}");
    check(first_found.is_none(), "not zero", first_found.unwrap_or(0) as u64)
}
