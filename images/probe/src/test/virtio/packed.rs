//! Malformed lists in a packed queue of a disk (virtio 1.2, 2.8), which the device must offer.

use guest::println;

use super::{Wrong, block};
use crate::report::{Outcome, check};
use crate::virtio::{Descriptor, Driver, flag, register, status};

pub(super) fn run(driver: &Driver) -> Outcome {
    works(driver)?;
    for (name, wrong) in WRONG {
        println!("probe: info {name}");
        driver.start_packed();
        wrong(driver);
        driver.notify();
        driver.expect_failure(name)?;
        works(driver)?;
        // The next driver may be another one.
        block::works(driver)?;
    }
    Ok(())
}

/// A sector can be read.
fn works(driver: &Driver) -> Outcome {
    driver.start_packed();
    let all = status::BEGUN | status::FEATURES_OK | status::DRIVER_OK;
    let found = driver.status();
    check(found == all, "there are no packed queues", u64::from(found))?;
    let [header, data, answer] = block::a_read(driver);
    driver.put_packed(2, answer);
    driver.put_packed(1, data);
    driver.put_packed(0, header);
    driver.notify();
    driver.wait_for_packed_use("a request was not answered")?;
    block::check_done(driver)
}

const WRONG: &[Wrong] = &[
    ("a list that fills the queue and goes on", |driver| {
        for index in 0..usize::from(Driver::SIZE) {
            driver.put_packed(index, driver.piece(16, flag::NEXT, 0));
        }
    }),
    ("a packed segment without bytes", |driver| driver.put_packed(0, driver.piece(0, 0, 0))),
    ("a packed segment outside of RAM", |driver| {
        let address = driver.outside();
        driver.put_packed(0, Descriptor { address, ..driver.piece(512, flag::WRITE, 0) });
    }),
    ("a packed segment that wraps around", |driver| {
        let address = 0_u64.wrapping_sub(512);
        driver.put_packed(0, Descriptor { address, ..driver.piece(u32::MAX, flag::WRITE, 0) });
    }),
    ("a packed segment to be written in the queue itself", |driver| {
        let address = driver.rings_address();
        driver.put_packed(0, Descriptor { address, ..driver.piece(16, flag::WRITE, 0) });
    }),
    ("a readable segment after a writable one, packed", |driver| {
        driver.put_packed(1, driver.piece(16, 0, 0));
        driver.put_packed(0, driver.piece(16, flag::WRITE | flag::NEXT, 0));
    }),
    ("an indirect table behind a segment", |driver| {
        driver.put_packed(1, driver.piece(16, flag::INDIRECT, 0));
        driver.put_packed(0, driver.piece(16, flag::NEXT, 0));
    }),
    ("a packed indirect table of no whole descriptors", |driver| {
        driver.put_packed(0, driver.piece(24, flag::INDIRECT, 0));
    }),
    ("a packed indirect table outside of RAM", |driver| {
        let address = driver.outside();
        driver.put_packed(0, Descriptor { address, ..driver.piece(32, flag::INDIRECT, 0) });
    }),
    ("a notification of no packed queue", |driver| {
        driver.registers.write32(register::QUEUE_NOTIFY, 63);
    }),
];
