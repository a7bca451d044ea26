//! The first access to a page.

use guest::board::Board;
use guest::{println, ram, time};

use crate::{arch, batch};

const PAGES: usize = 100;
const TOTAL: usize = PAGES * batch::BATCHES as usize;

/// Writes a word to each of the pages from the middle of RAM on that nobody has touched.
pub(super) fn pages(board: &'static Board, name: &str) {
    let middle = board.ram.start + board.ram.size / 2;
    let mut free = ram::free_pages(board).skip_while(|page| *page < middle).take(TOTAL);
    let (Some(first), Some(last)) = (free.next(), free.last()) else {
        println!("probe: FAIL {name} too little RAM");
        return;
    };
    if last - first != (TOTAL - 1) * ram::PAGE {
        println!("probe: FAIL {name} something lies in the middle of RAM");
        return;
    }
    let mut ticks = [0; batch::BATCHES as usize];
    let mut page = first;
    for batch in &mut ticks {
        let start = time::now_in_order();
        // SAFETY: pages of RAM that nothing lies in.
        page = unsafe { arch::touch(page, PAGES) };
        *batch = time::now_in_order() - start;
    }
    batch::print(name, &ticks, PAGES as u64);
}
