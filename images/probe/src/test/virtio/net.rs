//! A network card's queues of frames to send and of commands (virtio 1.2, 5.1.6).

use super::{Harmless, Wrong};
use crate::report::{Outcome, check};
use crate::virtio::{Descriptor, Driver, flag};

/// CSUM, CTRL_VQ, CTRL_RX and CTRL_MAC_ADDR, HOST_TSO4 (5.1.3).
pub(super) const FEATURES: u32 = 1 | 1 << 17 | 1 << 18 | 1 << 23 | 1 << 11;

/// `flags`: a checksum is to be completed.
const NEEDS_CSUM: u8 = 1;
/// `gso_type`: TCP over IPv4.
const TCPV4: u8 = 1;
const HEADER: usize = 12;
/// The place of a command's answer in the page for data.
const ANSWER: usize = 64;
/// The shortest frame on a wire.
const FRAME: u32 = 60;

/// What is not sent, and counted.
pub(super) const REFUSED: &[Harmless] = &[
    ("an empty frame", |driver| sends(driver, 0)),
    ("a frame shorter than its header", |driver| sends(driver, 13)),
    ("a frame longer than a packet", |driver| sends(driver, 1515)),
    ("a frame of megabytes", |driver| {
        let address = driver.ram.start as u64;
        driver.put(0, Descriptor { address, length: 8 << 20, flags: 0, next: 0 });
        taken(driver)
    }),
    ("a checksum out of the frame", |driver| asks(driver, [NEEDS_CSUM, 0], [0, 0xffff, 0xffff])),
    ("a checksum where the sender's address is", |driver| {
        asks(driver, [NEEDS_CSUM, 0], [0, 14, 12])
    }),
    ("segments of no bytes", |driver| asks(driver, [NEEDS_CSUM, TCPV4], [0, 34, 16])),
    ("segments of a byte", |driver| asks(driver, [NEEDS_CSUM, TCPV4], [1, 34, 16])),
    ("segments without a checksum", |driver| asks(driver, [0, TCPV4], [500, 34, 16])),
    ("segments of a kind that there is not", |driver| {
        asks(driver, [NEEDS_CSUM, 77], [500, 34, 16])
    }),
    ("another sender", |driver| {
        prepare(driver);
        driver.data.write8(HEADER + 11, driver.data.read8(HEADER + 11) ^ 1);
        sends(driver, FRAME)
    }),
    ("the router's address", |driver| {
        prepare(driver);
        // ARP: 192.168.76.1 is at this card (RFC 826).
        let answer = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
        put(driver, 12, &answer);
        put(driver, 22, &mac(driver));
        put(driver, 28, &[192, 168, 76, 1]);
        sends(driver, FRAME)
    }),
];

/// What is no frame.
pub(super) const WRONG: &[Wrong] = &[("half a header", |driver| {
    driver.put(0, driver.piece(11, 0, 0));
    driver.offer();
})];

/// A frame for everybody is taken.
pub(super) fn works(driver: &Driver) -> Outcome {
    driver.start();
    prepare(driver);
    sends(driver, FRAME)
}

/// Commands that are answered by an error.
pub(super) const BAD_COMMANDS: &[Harmless] = &[
    ("a command of no class", |driver| commands(driver, &[99, 0, 0], 1)),
    ("a command without its data", |driver| commands(driver, &[0, 0], 1)),
    ("neither on nor off", |driver| commands(driver, &[0, 0, 2], 1)),
    ("a table without an end", |driver| commands(driver, &[1, 0, 0xff, 0, 0, 0, 1], 1)),
    ("another address", |driver| commands(driver, &[1, 1, 2, 0, 0, 0, 0, 9], 1)),
    ("offloads that were not agreed on", |driver| {
        commands(driver, &[5, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1)
    }),
];

/// What is no command.
pub(super) const NO_COMMANDS: &[Wrong] = &[
    ("nowhere to answer to", |driver| {
        driver.put(0, driver.piece(3, 0, 0));
        driver.offer();
    }),
    ("half a command", |driver| {
        driver.put(0, driver.piece(1, flag::NEXT, 1));
        driver.put(1, place(driver));
        driver.offer();
    }),
];

/// The card shall receive everything.
pub(super) fn obeys(driver: &Driver) -> Outcome {
    driver.start();
    commands(driver, &[0, 0, 1], 0)
}

/// Where the answer to a command is to be written.
fn place(driver: &Driver) -> Descriptor {
    let piece = driver.piece(1, flag::WRITE, 0);
    Descriptor { address: piece.address + ANSWER as u64, ..piece }
}

/// Gives a command, and expects an answer.
fn commands(driver: &Driver, command: &[u8], answer: u8) -> Outcome {
    for (offset, byte) in command.iter().enumerate() {
        driver.data.write8(offset, *byte);
    }
    driver.data.write8(ANSWER, 0xee);
    driver.put(0, driver.piece(command.len() as u32, flag::NEXT, 1));
    driver.put(1, place(driver));
    driver.offer();
    driver.wait_for_use("a command was not answered")?;
    let found = driver.data.read8(ANSWER);
    check(found == answer, "a command had another answer", u64::from(found))
}

/// A frame for everybody, of a kind that nobody knows.
fn prepare(driver: &Driver) {
    put(driver, 0, &[0xff; 6]);
    put(driver, 6, &mac(driver));
    put(driver, 12, &[0x88, 0xb5]);
}

fn put(driver: &Driver, place: usize, bytes: &[u8]) {
    for (offset, byte) in (HEADER + place..).zip(bytes) {
        driver.data.write8(offset, *byte);
    }
}

/// The card's address (5.1.4).
fn mac(driver: &Driver) -> [u8; 6] {
    core::array::from_fn(|index| driver.registers.read8(0x100 + index))
}

/// Sends a frame of TCP over IPv4 with a header that asks for this.
fn asks(driver: &Driver, marks: [u8; 2], [size, start, offset]: [u16; 3]) -> Outcome {
    prepare(driver);
    put(driver, 12, &[8, 0, 0x45]);
    put(driver, 23, &[6]);
    put(driver, 46, &[0x50]);
    for (place, byte) in marks.into_iter().enumerate() {
        driver.data.write8(place, byte);
    }
    for (place, word) in (4..).step_by(2).zip([size, start, offset]) {
        driver.data.write16(place, word);
    }
    sends(driver, 1000)
}

/// Sends a frame of so many bytes, which is taken whatever becomes of it.
fn sends(driver: &Driver, bytes: u32) -> Outcome {
    driver.put(0, driver.piece(HEADER as u32 + bytes, 0, 0));
    taken(driver)
}

fn taken(driver: &Driver) -> Outcome {
    driver.offer();
    driver.wait_for_use("a frame was not taken").map(drop)
}
