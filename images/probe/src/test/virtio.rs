//! Virtio devices, driven as no driver should: what is wrong makes the device need a reset, or is answered by an error,
//! or ignored; after a reset it works.

mod balloon;
mod block;
mod net;
mod packed;
mod queue;
mod race;
mod registers;
mod setup;

use guest::board::Board;
use guest::println;

use crate::report::{Failure, Outcome, check};
use crate::virtio::{Descriptor, Driver, flag};

/// Identifiers of devices (5).
const NET: u32 = 1;
const BLOCK: u32 = 2;
const CONSOLE: u32 = 3;
const ENTROPY: u32 = 4;
const BALLOON: u32 = 5;

/// A way to be wrong that makes the device need a reset, and its name.
type Wrong = (&'static str, fn(&Driver));
/// A way to be wrong that does not, and what becomes of it.
type Harmless = (&'static str, fn(&Driver) -> Outcome);

/// A disk.
pub(super) fn block(board: &'static Board) -> Outcome {
    let driver = find(board, BLOCK, 0)?;
    run_all(&driver, block::works)?;
    ignored(&driver, block::ANSWERED, block::works)?;
    running(&driver, block::WRONG, block::works)
}

/// A disk with a packed queue.
pub(super) fn packed(board: &'static Board) -> Outcome {
    packed::run(&find(board, BLOCK, 0)?)
}

/// A disk, whose queue another CPU changes.
pub(super) fn race(board: &'static Board) -> Outcome {
    race::run(board, find(board, BLOCK, 0)?, block::works)
}

/// A source of entropy.
pub(super) fn entropy(board: &'static Board) -> Outcome {
    run_all(&find(board, ENTROPY, 0)?, entropy_works)
}

/// A console's queue to transmit (5.3.2). Nobody may see another one, so that it says itself how it ended.
pub(super) fn console(board: &'static Board) -> Outcome {
    let driver = find(board, CONSOLE, 1)?;
    let outcome = run_all(&driver, |driver| console_says(driver, b"."));
    match outcome {
        Ok(()) => console_says(&driver, b"\nprobe: ok virtio-console\nprobe: done\n"),
        Err(Failure { what, .. }) => {
            // As far as it still can.
            console_says(&driver, what.as_bytes())?;
            console_says(&driver, b"\nprobe: FAIL virtio-console\nprobe: done\n")?;
            outcome
        }
    }
}

/// A balloon's queue of pages that the guest wants back (5.5.2).
pub(super) fn balloon(board: &'static Board) -> Outcome {
    let driver = find(board, BALLOON, 1)?;
    run_all(&driver, balloon::works)?;
    ignored(&driver, balloon::TAKEN, balloon::works)?;
    running(&driver, balloon::WRONG, balloon::works)
}

/// A network card's queues to transmit and for commands (5.1.2).
pub(super) fn net(board: &'static Board) -> Outcome {
    let sender = find(board, NET, 1)?.with_features(net::FEATURES);
    run_all(&sender, net::works)?;
    ignored(&sender, net::REFUSED, net::works)?;
    running(&sender, net::WRONG, net::works)?;
    let control = find(board, NET, 2)?.with_features(net::FEATURES);
    run_all(&control, net::obeys)?;
    ignored(&control, net::BAD_COMMANDS, net::obeys)?;
    running(&control, net::NO_COMMANDS, net::obeys)
}

fn find(board: &'static Board, device_id: u32, queue: u32) -> Result<Driver, Failure> {
    let none = Failure { what: "there is no such device", value: u64::from(device_id) };
    Driver::find(board, device_id, queue).ok_or(none)
}

/// What can be done wrong with any device.
fn run_all(driver: &Driver, works: fn(&Driver) -> Outcome) -> Outcome {
    works(driver)?;
    running(driver, queue::WRONG, works)?;
    for (name, wrong) in setup::WRONG {
        println!("probe: info {name}");
        driver.reset();
        wrong(driver);
        driver.expect_needs_reset(name)?;
        works(driver)?;
    }
    ignored(driver, setup::HARMLESS, works)?;
    ignored(driver, registers::HARMLESS, works)
}

/// What can be done wrong once the device runs.
fn running(driver: &Driver, cases: &[Wrong], works: fn(&Driver) -> Outcome) -> Outcome {
    for (name, wrong) in cases {
        println!("probe: info {name}");
        driver.start();
        wrong(driver);
        driver.expect_failure(name)?;
        // A device that needs a reset does nothing.
        driver.notify();
        works(driver)?;
    }
    Ok(())
}

fn ignored(driver: &Driver, cases: &[Harmless], works: fn(&Driver) -> Outcome) -> Outcome {
    for (name, harmless) in cases {
        println!("probe: info {name}");
        driver.start();
        harmless(driver)?;
        works(driver)?;
    }
    Ok(())
}

/// Bytes are asked for and come.
fn entropy_works(driver: &Driver) -> Outcome {
    driver.start();
    driver.put(0, Descriptor { flags: flag::WRITE, ..driver.piece(64, 0, 0) });
    driver.offer();
    let written = driver.wait_for_use("no bytes came")?;
    check(written == 64, "not as many bytes came", u64::from(written))
}

/// A text is taken.
fn console_says(driver: &Driver, text: &[u8]) -> Outcome {
    driver.start();
    for (offset, byte) in text.iter().enumerate() {
        driver.data.write8(offset, *byte);
    }
    driver.put(0, driver.piece(text.len() as u32, 0, 0));
    driver.offer();
    driver.wait_for_use("a text was not taken").map(drop)
}
