use super::{Bell, ConsoleSink};
use crate::console::Cursor;
use crate::devices::serial::SerialOut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Default)]
struct Counter(AtomicU32);

impl Bell for Counter {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn output_is_kept_whether_or_not_somebody_watches_and_rings_only_then() {
    let bell = Arc::new(Counter::default());
    let sink = ConsoleSink::new(64, Arc::<Counter>::clone(&bell));
    let rings = || bell.0.load(Ordering::Relaxed);
    sink.put(b'a');
    assert_eq!(rings(), 0);
    sink.set_watchers(2);
    sink.put(b'b');
    assert_eq!(rings(), 1);
    sink.set_watchers(0);
    sink.put(b'c');
    assert_eq!(rings(), 1);
    let mut text = [0; 8];
    let read = sink.output().read(&mut Cursor::BEGINNING.clone(), &mut text);
    assert_eq!(&text[..read.bytes], b"abc");
}
