//! Mistakes before the device runs (virtio 1.2, 3.1.1): queues that cannot be, steps that are left out.

use super::{Harmless, Wrong};
use crate::report::check;
use crate::virtio::{Descriptor, Driver, flag, register, status};

pub(super) const WRONG: &[Wrong] = &[
    ("a queue of no entries", |driver| open_with_size(driver, 0)),
    ("a queue of three entries", |driver| open_with_size(driver, 3)),
    ("a queue of more entries than there may be", |driver| {
        driver.registers.write32(register::QUEUE_SEL, 0);
        let most = driver.registers.read32(register::QUEUE_NUM_MAX);
        open_with_size(driver, 2 * most);
    }),
    ("a queue of more than 65536 entries", |driver| open_with_size(driver, 0x1_0008)),
    ("descriptors that are not aligned", |driver| {
        open_with_area(driver, register::DESCRIPTORS, driver.rings_address() + 8);
    }),
    ("an available ring that is not aligned", |driver| {
        open_with_area(driver, register::AVAILABLE, driver.rings_address() + 0x101);
    }),
    ("a used ring that is not aligned", |driver| {
        open_with_area(driver, register::USED, driver.rings_address() + 0x202);
    }),
    ("descriptors outside of RAM", |driver| {
        open_with_area(driver, register::DESCRIPTORS, driver.outside());
    }),
    ("an available ring outside of RAM", |driver| {
        open_with_area(driver, register::AVAILABLE, driver.outside());
    }),
    ("a used ring outside of RAM", |driver| {
        open_with_area(driver, register::USED, driver.outside());
    }),
    ("a used ring that wraps around", |driver| {
        open_with_area(driver, register::USED, 0_u64.wrapping_sub(16));
    }),
    ("rings on top of each other", |driver| {
        open_with_area(driver, register::USED, driver.rings_address() + 0x100);
    }),
    ("a queue before features are agreed on", |driver| {
        driver.registers.write32(register::STATUS, status::BEGUN);
        driver.set_up();
        driver.open();
    }),
    ("a driver that is ready before features are agreed on", |driver| {
        driver.registers.write32(register::STATUS, status::BEGUN | status::DRIVER_OK);
    }),
    ("an indirect table that was not agreed on", |driver| {
        driver.agree_on(driver.features);
        driver.set_up();
        driver.open();
        driver.run();
        driver.put_indirect(0, driver.piece(16, 0, 0));
        driver.put(0, Descriptor { next: 0, ..driver.piece(16, flag::INDIRECT, 0) });
        driver.offer();
    }),
];

fn open_with_size(driver: &Driver, size: u32) {
    driver.negotiate();
    driver.set_up();
    driver.registers.write32(register::QUEUE_NUM, size);
    driver.open();
    driver.run();
}

fn open_with_area(driver: &Driver, area: usize, address: u64) {
    driver.negotiate();
    driver.set_up();
    driver.put_area(area, address);
    driver.open();
    driver.run();
}

pub(super) const HARMLESS: &[Harmless] = &[
    ("features that were not offered", |driver| {
        driver.reset();
        driver.agree_on(u32::MAX);
        let found = driver.status();
        check(found & status::FEATURES_OK == 0, "these features are fine", u64::from(found))
    }),
    ("a notification before the driver is ready", |driver| {
        driver.reset();
        driver.negotiate();
        driver.set_up();
        driver.open();
        driver.offer();
        expect_status(driver, status::BEGUN | status::FEATURES_OK)
    }),
    ("a queue that is moved while it is ready", |driver| {
        driver.registers.write32(register::QUEUE_NUM, 3);
        for area in [register::DESCRIPTORS, register::AVAILABLE, register::USED] {
            driver.put_area(area, driver.outside());
        }
        driver.open();
        expect_status(driver, status::BEGUN | status::FEATURES_OK | status::DRIVER_OK)
    }),
    ("a queue that does not exist", |driver| {
        driver.registers.write32(register::QUEUE_SEL, 63);
        let most = driver.registers.read32(register::QUEUE_NUM_MAX);
        check(most == 0, "there is a queue 63", u64::from(most))?;
        driver.registers.write32(register::QUEUE_NUM, 8);
        driver.put_area(register::DESCRIPTORS, driver.rings_address());
        driver.open();
        let is_ready = driver.registers.read32(register::QUEUE_READY);
        check(is_ready == 0, "queue 63 is ready", u64::from(is_ready))?;
        expect_status(driver, status::BEGUN | status::FEATURES_OK | status::DRIVER_OK)
    }),
    ("status bits that are the device's, or nobody's", |driver| {
        driver.registers.write32(register::STATUS, 0xffff_ff00 | status::NEEDS_RESET | 0x30);
        expect_status(driver, status::BEGUN | status::FEATURES_OK | status::DRIVER_OK)
    }),
    ("status bits that are taken back", |driver| {
        driver.registers.write32(register::STATUS, 1);
        expect_status(driver, status::BEGUN | status::FEATURES_OK | status::DRIVER_OK)
    }),
];

fn expect_status(driver: &Driver, expected: u32) -> crate::report::Outcome {
    let found = driver.status();
    check(found == expected, "the status is another", u64::from(found))
}
