//! Any kernel is loaded into RAM, each byte at most once, or refused.
#![no_main]

use hv_core::guest::{BadAddress, GuestMemory, GuestPhysAddr};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::sync::Arc;
use vm_manager::config::ImageFormat;
use vm_manager::load::{File, Loader, Plan, Region, Request};

const BASE: u64 = 0x4000_0000;
const BYTES: u64 = 2 << 20;

/// RAM that only remembers which of its bytes were written.
struct Ram(RefCell<Vec<bool>>);

impl GuestMemory for Ram {
    fn read(&self, _: GuestPhysAddr, _: &mut [u8]) -> Result<(), BadAddress> {
        Err(BadAddress)
    }

    fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), BadAddress> {
        let start = addr.0.checked_sub(BASE).ok_or(BadAddress)? as usize;
        let mut written = self.0.borrow_mut();
        let part = written.get_mut(start..start + buf.len()).ok_or(BadAddress)?;
        assert!(!part.contains(&true));
        part.fill(true);
        Ok(())
    }
}

fuzz_target!(|input: (u8, Option<u32>, Vec<u8>)| {
    let (format, address, kernel) = input;
    let file = |name: &str, bytes: Vec<u8>| File { name: name.into(), source: Arc::new(bytes) };
    let request = Request {
        ram: Region::new(GuestPhysAddr(BASE), BYTES).unwrap(),
        kernel: file("kernel", kernel),
        format: match format % 4 {
            0 => ImageFormat::Auto,
            1 => ImageFormat::Linux,
            2 => ImageFormat::Elf,
            _ => ImageFormat::Flat,
        },
        load_address: address.map(|offset| GuestPhysAddr(BASE + u64::from(offset))),
        entry: None,
        initrd: Some(file("initrd", vec![1; 5000])),
        loads: Vec::new(),
    };
    let Ok(plan) = Plan::new(&request) else { return };
    assert!(request.ram.contains(plan.entry()));
    let mut loader = Loader::new(&plan, vec![0; 1000]).unwrap();
    let ram = Ram(RefCell::new(vec![false; BYTES as usize]));
    while let Ok(progress) = loader.step(&ram, 4096) {
        if progress.finished {
            assert_eq!(progress.done_bytes, progress.total_bytes);
            return;
        }
    }
});
