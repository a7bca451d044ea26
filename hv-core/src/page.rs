//! Pages of RAM for what is kept for guests beside their RAM: disks in memory.

use crate::memory::{self, Frames, Zeroed};
use crate::paging::PAGE_SIZE;
use crate::ram::RESERVE;
use core::sync::atomic::{AtomicU64, Ordering};

/// How many there are. Relaxed: it stands for itself.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Bytes of all of them.
#[must_use]
pub fn bytes() -> u64 {
    COUNT.load(Ordering::Relaxed) * PAGE_SIZE
}

/// A page of 4 KiB, in nobody else's hands. It goes back when it is dropped.
#[derive(Debug)]
pub struct Page(Frames<Zeroed>);

impl Page {
    /// One full of zeroes. `None` if there is no more: what the hypervisor itself may need is left alone.
    #[must_use]
    pub fn zeroed() -> Option<Self> {
        if memory::counters().free <= RESERVE {
            return None;
        }
        let frames = Frames::one()?.zero();
        COUNT.fetch_add(1, Ordering::Relaxed);
        Some(Self(frames))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref()
    }
}

impl AsMut<[u8]> for Page {
    fn as_mut(&mut self) -> &mut [u8] {
        self.0.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::pool;

    #[test]
    fn a_page_holds_nothing_of_its_last_owner_and_goes_back() {
        let _turn = pool();
        let free = memory::counters().free;
        for _ in 0..2 {
            let mut page = Page::zeroed().unwrap();
            assert_eq!((memory::counters().free, bytes()), (free - PAGE_SIZE, PAGE_SIZE));
            assert!(page.as_ref().iter().all(|byte| *byte == 0));
            page.as_mut().fill(0x5a);
            assert_eq!(page.as_ref(), [0x5a; PAGE_SIZE as usize]);
        }
        assert_eq!((memory::counters().free, bytes()), (free, 0));
    }

    #[test]
    fn pages_leave_the_hypervisor_what_it_needs() {
        let _turn = pool();
        let mut pages = Vec::new();
        while let Some(page) = Page::zeroed() {
            pages.push(page);
        }
        assert_eq!(memory::counters().free, RESERVE);
    }
}
