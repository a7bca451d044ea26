//! A store of pages on the heap, which are used again and again.

use super::super::page::{PAGE_BYTES, PageStore};
use std::sync::{Arc, Mutex};

/// At most so many pages. It counts those in use.
#[derive(Clone)]
pub(crate) struct HeapPages(Arc<Mutex<Shelf>>);

struct Shelf {
    free: Vec<Box<[u8]>>,
    left: usize,
    used: usize,
}

impl HeapPages {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shelf { free: Vec::new(), left: limit, used: 0 })))
    }

    pub(crate) fn used(&self) -> usize {
        self.0.lock().unwrap().used
    }
}

impl PageStore for HeapPages {
    type Page = HeapPage;

    fn take_zeroed(&self) -> Option<HeapPage> {
        let mut shelf = self.0.lock().unwrap();
        let mut bytes = match shelf.free.pop() {
            Some(bytes) => bytes,
            None => {
                shelf.left = shelf.left.checked_sub(1)?;
                vec![0; PAGE_BYTES].into_boxed_slice()
            }
        };
        bytes.fill(0);
        shelf.used += 1;
        Some(HeapPage { bytes, store: self.clone() })
    }
}

pub(crate) struct HeapPage {
    bytes: Box<[u8]>,
    store: HeapPages,
}

impl AsRef<[u8]> for HeapPage {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for HeapPage {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for HeapPage {
    fn drop(&mut self) {
        let mut shelf = self.store.0.lock().unwrap();
        shelf.used -= 1;
        shelf.free.push(std::mem::take(&mut self.bytes));
    }
}
