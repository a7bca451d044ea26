//! A disk's requests (virtio 1.2, 5.2.6), well-formed and not.

use super::{Harmless, Wrong};
use crate::report::{Outcome, equal};
use crate::virtio::{Descriptor, Driver, flag};

/// Types of requests.
const READ: u32 = 0;
const WRITE: u32 = 1;
const NOTHING: u32 = 99;
/// How they end.
const DONE: u8 = 0;
const ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;
/// What the status is before it is written.
const UNTOUCHED: u8 = 0xaa;

/// Where the parts of a request are in the page for data; its header is first.
const HEADER_BYTES: u32 = 16;
const STATUS: usize = 0x10;
const DATA: usize = 0x200;

/// A sector can be read.
pub(super) fn works(driver: &Driver) -> Outcome {
    driver.start();
    answers(driver, Request { kind: READ, sector: 0, bytes: 512 }, DONE)
}

/// What is answered by a status.
pub(super) const ANSWERED: &[Harmless] = &[
    ("a sector behind the end", |driver| {
        answers(driver, Request { kind: READ, sector: 1 << 32, bytes: 512 }, ERROR)
    }),
    ("the last sector that there could be", |driver| {
        answers(driver, Request { kind: READ, sector: u64::MAX, bytes: 1024 }, ERROR)
    }),
    ("a write behind the end", |driver| {
        answers(driver, Request { kind: WRITE, sector: u64::MAX >> 9, bytes: 512 }, ERROR)
    }),
    ("a part of a sector", |driver| {
        answers(driver, Request { kind: READ, sector: 0, bytes: 100 }, ERROR)
    }),
    ("a request of no known type", |driver| {
        answers(driver, Request { kind: NOTHING, sector: 0, bytes: 512 }, UNSUPPORTED)
    }),
];

/// What cannot be answered.
pub(super) const WRONG: &[Wrong] = &[
    ("a request with no place for an answer", |driver| {
        driver.put(0, driver.piece(HEADER_BYTES, 0, 0));
        driver.offer();
    }),
    ("a request with half a header", |driver| {
        let address = status_address(driver);
        driver.put(0, driver.piece(HEADER_BYTES / 2, flag::NEXT, 1));
        driver.put(1, Descriptor { address, length: 1, flags: flag::WRITE, next: 0 });
        driver.offer();
    }),
    ("a request without a header", |driver| {
        let address = status_address(driver);
        driver.put(0, Descriptor { address, length: 1, flags: flag::WRITE, next: 0 });
        driver.offer();
    }),
];

struct Request {
    kind: u32,
    sector: u64,
    bytes: u32,
}

fn status_address(driver: &Driver) -> u64 {
    (driver.data.address() + STATUS) as u64
}

/// The parts of a request to read the first sector, for a queue that is set up by hand.
pub(super) fn a_read(driver: &Driver) -> [Descriptor; 3] {
    parts(driver, Request { kind: READ, sector: 0, bytes: 512 })
}

/// That request has been done.
pub(super) fn check_done(driver: &Driver) -> Outcome {
    check_answer(driver, DONE)
}

/// Makes a request of a running device, which has to end in this way.
fn answers(driver: &Driver, request: Request, expected: u8) -> Outcome {
    for (index, part) in parts(driver, request).into_iter().enumerate() {
        driver.put(index, part);
    }
    driver.offer();
    driver.wait_for_use("a request was not answered")?;
    check_answer(driver, expected)
}

/// Writes the request's header; header, data and status.
fn parts(driver: &Driver, request: Request) -> [Descriptor; 3] {
    driver.data.write32(0, request.kind);
    driver.data.write64(8, request.sector);
    driver.data.write8(STATUS, UNTOUCHED);
    let address = (driver.data.address() + DATA) as u64;
    let direction = if request.kind == WRITE { 0 } else { flag::WRITE };
    let flags = direction | flag::NEXT;
    [
        driver.piece(HEADER_BYTES, flag::NEXT, 1),
        Descriptor { address, length: request.bytes, flags, next: 2 },
        Descriptor { address: status_address(driver), length: 1, flags: flag::WRITE, next: 0 },
    ]
}

fn check_answer(driver: &Driver, expected: u8) -> Outcome {
    equal(i64::from(driver.data.read8(STATUS)), i64::from(expected), "another status")
}
