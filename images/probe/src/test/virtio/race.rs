//! A queue that another CPU changes while the device reads it, for `seconds` (2): what was checked is no longer there.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use guest::board::Board;
use guest::once::Once;
use guest::{println, smp, time};

use crate::report::{Outcome, check, equal, wait};
use crate::virtio::{Descriptor, Driver, flag, status};

static DRIVER: Once<Driver> = Once::new();
static STOP: AtomicBool = AtomicBool::new(false);
/// How often the other CPU has changed something.
static CHANGES: AtomicU64 = AtomicU64::new(0);
static HAS_STOPPED: AtomicBool = AtomicBool::new(false);

pub(super) fn run(board: &'static Board, driver: Driver, works: fn(&Driver) -> Outcome) -> Outcome {
    check(board.cpu_count > 1, "there is no second CPU", board.cpu_count as u64)?;
    works(&driver)?;
    let driver = DRIVER.set(driver);
    equal(smp::start(board, 1, change), 0, "start")?;
    wait("the second CPU does nothing", 0, || CHANGES.load(Ordering::Relaxed) > 0)?;
    let begin = time::now();
    let end = begin + time::ticks_of_ms(1000 * board.number("seconds", 2));
    // The two may not run at the same time for long.
    let patience = begin + time::ticks_of_ms(60_000);
    let (mut rounds, mut resets) = (0_u64, 0_u64);
    while time::now() < end || (resets == 0 && time::now() < patience) {
        driver.start();
        (0..4).for_each(|_| driver.notify());
        rounds += 1;
        resets += u64::from(driver.status() & status::NEEDS_RESET != 0);
    }
    STOP.store(true, Ordering::SeqCst);
    wait("the second CPU goes on", 0, || HAS_STOPPED.load(Ordering::SeqCst))?;
    let changes = CHANGES.load(Ordering::Relaxed);
    println!("probe: info rounds={rounds} resets={resets} changes={changes}");
    check(resets > 0, "the device never needed a reset", rounds)?;
    works(driver)
}

/// On the second CPU: puts what is right and what is wrong into the queue, and takes it back.
extern "C" fn change(_: usize) {
    let Some(driver) = DRIVER.get() else { return };
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    while !STOP.load(Ordering::SeqCst) {
        seed = shuffle(seed);
        let index = (seed >> 8) as usize % usize::from(Driver::SIZE);
        let descriptor = any(driver, seed >> 16);
        match seed >> 60 {
            0..4 => driver.put(index, descriptor),
            4..8 => driver.put_indirect(index, descriptor),
            8..10 => driver.put_table(16 * index as u32, 0),
            // A chain as a disk wants it, for the time being.
            10..13 => {
                driver.put(0, driver.piece(16, flag::NEXT, 1));
                driver.put(1, Descriptor { flags: flag::WRITE, ..piece_behind(driver, 513) });
            }
            _ => {}
        }
        driver.offer_as(index as u16, (seed >> 40) as u16 % (Driver::SIZE + 2));
        CHANGES.fetch_add(1, Ordering::Relaxed);
    }
    HAS_STOPPED.store(true, Ordering::SeqCst);
}

/// The next number of a xorshift generator.
fn shuffle(mut seed: u64) -> u64 {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^ seed << 17
}

/// A descriptor that may be right.
fn any(driver: &Driver, random: u64) -> Descriptor {
    let choice = |shift: u32, count: usize| (random >> shift) as usize % count;
    let pieces = [
        driver.piece(16, 0, 0),
        piece_behind(driver, 512),
        piece_behind(driver, 1),
        driver.piece(0, 0, 0),
        driver.piece(u32::MAX, 0, 0),
        Descriptor { address: driver.outside(), ..driver.piece(512, 0, 0) },
        Descriptor { address: driver.rings_address(), ..driver.piece(16, 0, 0) },
        Descriptor { address: 0_u64.wrapping_sub(16), ..driver.piece(16, 0, 0) },
    ];
    let flags = choice(8, 8) as u16;
    let next = choice(16, usize::from(Driver::SIZE) + 1) as u16;
    let piece = pieces.get(choice(0, pieces.len())).copied();
    Descriptor { flags, next, ..piece.unwrap_or(driver.piece(16, 0, 0)) }
}

/// A descriptor of these bytes in the second half of the page for data, of at most as many.
fn piece_behind(driver: &Driver, length: u32) -> Descriptor {
    let address = driver.data.address() as u64 + 0x800;
    Descriptor { address, ..driver.piece(length, 0, 0) }
}
