//! A balloon's list of pages that the guest wants back (virtio 1.2, 5.5.6).

use guest::ram;

use super::{Harmless, Wrong};
use crate::report::Outcome;
use crate::virtio::Driver;

/// Something else than a page of the guest is asked back.
pub(super) const TAKEN: &[Harmless] =
    &[("a page outside of RAM", |driver| takes(driver, u32::MAX))];

/// What is no list of pages' numbers.
pub(super) const WRONG: &[Wrong] = &[
    ("half a page's number", |driver| give(driver, 0, 2)),
    ("a number and a half", |driver| give(driver, 0, 6)),
];

/// A page that it never had is asked back.
pub(super) fn works(driver: &Driver) -> Outcome {
    driver.start();
    takes(driver, (driver.data.address() / ram::PAGE) as u32)
}

fn takes(driver: &Driver, page: u32) -> Outcome {
    give(driver, page, 4);
    driver.wait_for_use("a page's number was not taken").map(drop)
}

/// Passes so many bytes, the first of which are a page's number.
fn give(driver: &Driver, page: u32, bytes: u32) {
    driver.data.write32(0, page);
    driver.put(0, driver.piece(bytes, 0, 0));
    driver.offer();
}
