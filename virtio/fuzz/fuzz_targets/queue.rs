//! Whatever the rings hold, and however they change while they are read, each chain that a queue gives is sound.
#![no_main]

use hv_core::guest::{GuestMemory, GuestPhysAddr};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use virtio::queue::{Chain, MAX_SEGMENTS, Queue, QueueConfig, QueueKind};
use virtio::testing::ram::{ShiftingRam, TestRam};

const BASE: u64 = 0x1000;
const BYTES: u64 = 0x4000;

fn check(chain: &Chain, ram: &TestRam) {
    let segments = || chain.readable().iter().chain(chain.writable());
    assert!((1..=MAX_SEGMENTS).contains(&segments().count()));
    for segment in segments() {
        assert!(segment.len != 0 && ram.contains(segment.addr, u64::from(segment.len)));
    }
    let mut byte = [0];
    chain.read_at(ram, 0, &mut byte).ok();
    if let Some(last) = chain.writable_len().checked_sub(1) {
        chain.write_at(ram, last, &[1]).unwrap();
        chain.write_at(ram, last + 1, &[1]).unwrap_err();
    }
}

type Input = (u8, u16, [u16; 3], Vec<u8>, Vec<(u16, u8)>, Vec<u8>);

fuzz_target!(|input: Input| {
    let (options, size, places, bytes, script, steps) = input;
    let ram = TestRam::new(BASE, BYTES as usize);
    ram.put(GuestPhysAddr(BASE), &bytes[..bytes.len().min(BYTES as usize)]);
    let [descriptors, driver, device] = places.map(|place| GuestPhysAddr(BASE + u64::from(place)));
    let config = QueueConfig {
        size,
        kind: if options & 1 == 0 { QueueKind::Split } else { QueueKind::Packed },
        descriptors,
        driver,
        device,
        indirect: options & 2 != 0,
        event_index: options & 4 != 0,
    };
    let shifting = ShiftingRam::new(Arc::clone(&ram), BASE..BASE + BYTES, script);
    let Ok(mut queue) = Queue::new(config, &*ram) else { return };
    let mut lent = Vec::new();
    for step in steps {
        match step % 4 {
            0 | 1 => {
                if let Ok(Some(chain)) = queue.pop(&shifting) {
                    check(&chain, &ram);
                    lent.push(chain);
                    assert!(lent.len() <= usize::from(size));
                }
            }
            2 if !lent.is_empty() => {
                let chain = lent.swap_remove(usize::from(step) % lent.len());
                let _ = queue.push(&shifting, chain, u32::from(step));
                let _ = queue.needs_interrupt(&shifting);
            }
            _ => {
                let _ = queue.enable_notifications(&shifting);
                let _ = queue.disable_notifications(&shifting);
            }
        }
    }
});
