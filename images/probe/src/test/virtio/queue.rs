//! Malformed chains in a queue (virtio 1.2, 2.7).

use super::Wrong;
use crate::virtio::{Descriptor, Driver, flag, register};

/// Bytes that several segments have together more than 4 GiB of (2.7.5.2), if there are as many as there is room for.
const LARGE: u32 = 20 << 20;
const MANY: usize = 256;

pub(super) const WRONG: &[Wrong] = &[
    ("a chain that loops", |driver| {
        driver.put(0, driver.piece(16, flag::NEXT, 0));
        driver.offer();
    }),
    ("a longer loop", |driver| {
        driver.put(0, driver.piece(16, flag::NEXT, 1));
        driver.put(1, driver.piece(16, flag::NEXT, 2));
        driver.put(2, driver.piece(16, flag::NEXT, 1));
        driver.offer();
    }),
    ("a next descriptor outside of the table", |driver| {
        driver.put(0, driver.piece(16, flag::NEXT, Driver::SIZE));
        driver.offer();
    }),
    ("a first descriptor outside of the table", |driver| {
        driver.offer_as(Driver::SIZE, 1);
        driver.notify();
    }),
    ("a first descriptor far outside of the table", |driver| {
        driver.offer_as(u16::MAX, 1);
        driver.notify();
    }),
    ("an available index that jumps", |driver| {
        driver.offer_as(0, Driver::SIZE + 1);
        driver.notify();
    }),
    ("an available index that goes back", |driver| {
        driver.offer_as(0, u16::MAX);
        driver.notify();
    }),
    ("a segment outside of RAM", |driver| {
        driver
            .put(0, Descriptor { address: driver.outside(), ..driver.piece(512, flag::WRITE, 0) });
        driver.offer();
    }),
    ("a segment that begins in RAM", |driver| {
        let address = driver.ram.end() as u64 - 0x1000;
        driver.put(0, Descriptor { address, ..driver.piece(u32::MAX, flag::WRITE, 0) });
        driver.offer();
    }),
    ("a segment that ends where addresses do", |driver| {
        let address = 0_u64.wrapping_sub(512);
        driver.put(0, Descriptor { address, ..driver.piece(512, flag::WRITE, 0) });
        driver.offer();
    }),
    ("a segment that wraps around", |driver| {
        let address = 0_u64.wrapping_sub(512);
        driver.put(0, Descriptor { address, ..driver.piece(u32::MAX, flag::WRITE, 0) });
        driver.offer();
    }),
    ("a segment where the device's registers are", |driver| {
        let address = driver.registers.address() as u64;
        driver.put(0, Descriptor { address, ..driver.piece(512, flag::WRITE, 0) });
        driver.offer();
    }),
    ("a segment without bytes", |driver| {
        driver.put(0, driver.piece(0, flag::WRITE, 0));
        driver.offer();
    }),
    ("a last segment without bytes", |driver| {
        driver.put(0, driver.piece(16, flag::NEXT, 1));
        driver.put(1, driver.piece(0, flag::WRITE, 0));
        driver.offer();
    }),
    ("a readable segment after a writable one", |driver| {
        driver.put(0, driver.piece(16, flag::WRITE | flag::NEXT, 1));
        driver.put(1, driver.piece(16, 0, 0));
        driver.offer();
    }),
    ("a segment to be read and written", |driver| {
        driver.put(0, driver.piece(16, flag::NEXT, 1));
        driver.put(1, driver.piece(16, flag::WRITE, 0));
        driver.offer();
    }),
    ("a segment to be written in the queue itself", |driver| {
        let address = driver.rings_address();
        driver.put(0, Descriptor { address, ..driver.piece(16, flag::WRITE, 0) });
        driver.offer();
    }),
    ("an indirect table within an indirect table", |driver| {
        driver.put_indirect(0, driver.piece(16, flag::INDIRECT, 0));
        driver.put_table(32, 0);
        driver.offer();
    }),
    ("an indirect table with a next descriptor", |driver| {
        driver.put_indirect(0, driver.piece(16, 0, 0));
        driver.put(1, driver.piece(16, flag::WRITE, 0));
        driver.put_table(16, flag::NEXT);
        driver.offer();
    }),
    ("an indirect table of no whole descriptors", |driver| {
        driver.put_indirect(0, driver.piece(16, 0, 0));
        driver.put_table(24, 0);
        driver.offer();
    }),
    ("an indirect table of no descriptors", |driver| {
        driver.put_table(0, 0);
        driver.offer();
    }),
    ("an indirect table that loops", |driver| {
        driver.put_indirect(0, driver.piece(16, flag::NEXT, 1));
        driver.put_indirect(1, driver.piece(16, flag::NEXT, 0));
        driver.put_table(32, 0);
        driver.offer();
    }),
    ("a next descriptor outside of the indirect table", |driver| {
        driver.put_indirect(0, driver.piece(16, flag::NEXT, 2));
        driver.put_table(32, 0);
        driver.offer();
    }),
    ("an indirect table outside of RAM", |driver| {
        let address = driver.outside();
        driver.put(0, Descriptor { address, ..driver.piece(32, flag::INDIRECT, 0) });
        driver.offer();
    }),
    ("segments of more than 4 GiB together", |driver| {
        let address = driver.ram.end() as u64 - u64::from(LARGE);
        for index in 0..MANY {
            let next = index as u16 + 1;
            let flags = if index + 1 < MANY { flag::NEXT } else { 0 };
            driver.put_indirect(index, Descriptor { address, length: LARGE, flags, next });
        }
        driver.put_table(16 * MANY as u32, 0);
        driver.offer();
    }),
    ("a notification of a queue that does not exist", |driver| {
        driver.registers.write32(register::QUEUE_NOTIFY, 63);
    }),
    ("a notification of a queue with a large number", |driver| {
        driver.registers.write32(register::QUEUE_NOTIFY, u32::MAX);
    }),
];
