//! The pool, made of memory of the host.

use super::*;
use std::alloc::{Layout, alloc};
use std::sync::{MutexGuard, OnceLock, PoisonError};

/// RAM of the machine that tests are.
pub(crate) const POOL_BYTES: u64 = 40 << 20;
const CHUNK: u64 = 2 << 20;

/// The pool, for one test at a time: there is one in each program.
pub(crate) fn pool() -> MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    static MADE: OnceLock<()> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    MADE.get_or_init(|| {
        // One chunk more, of which the bookkeeping takes a page.
        let layout =
            Layout::from_size_align((POOL_BYTES + CHUNK) as usize, CHUNK as usize).unwrap();
        // SAFETY: the size is not zero.
        let start = unsafe { alloc(layout) }.expose_provenance() as u64;
        let ram = Range { start, end: start + POOL_BYTES + CHUNK };
        // The last page: a range that is nobody's.
        let taken = Range { start: ram.end - PAGE_SIZE, end: ram.end };
        // SAFETY: the memory was allocated just now, and is never given back.
        unsafe { init([ram].into_iter(), [taken].into_iter()) }.unwrap();
    });
    turn
}

#[test]
fn what_is_reserved_is_never_handed_out() {
    let _turn = pool();
    let total = counters();
    assert!(total.total < POOL_BYTES + CHUNK && total.total > POOL_BYTES);
    assert_eq!(total.free, total.total);
    let mut all = Vec::new();
    while let Some(frames) = Frames::one() {
        all.push(frames);
    }
    assert_eq!(all.len() as u64 * PAGE_SIZE, total.total);
    let mut addresses: Vec<u64> = all.iter().map(Frames::addr).collect();
    addresses.sort_unstable();
    assert!(addresses.windows(2).all(|pair| pair[0] + PAGE_SIZE <= pair[1]), "each has one owner");
    drop(all);
    assert_eq!(counters(), total);
}

#[test]
fn frames_go_back_when_they_are_dropped_and_not_before() {
    let _turn = pool();
    let before = counters().free;
    let frames = [Frames::one(), Frames::run(5), Frames::chunks(2, 2)].map(Option::unwrap);
    let len: u64 = frames.iter().map(Frames::len).sum();
    assert_eq!((len, counters().free), (6 * PAGE_SIZE + 2 * CHUNK, before - len));
    assert!(frames[2].addr().is_multiple_of(2 * CHUNK));
    drop(frames);
    assert_eq!(counters().free, before);
    assert!(Frames::chunks(1000, 1).is_none());
    assert_eq!(counters().free, before, "what cannot be had takes nothing");
}

#[test]
fn zeroed_frames_are_zero_whatever_the_last_owner_left() {
    let _turn = pool();
    for _ in 0..2 {
        let frames = Frames::run(3).unwrap().zero();
        let mut bytes = [1; 3 * PAGE_SIZE as usize];
        // SAFETY: the frames are ours.
        unsafe { copy_from(frames.addr(), &mut bytes) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        // SAFETY: likewise.
        unsafe { copy_to(frames.addr(), &[0xa5; 3 * PAGE_SIZE as usize]) };
    }
}

#[test]
fn a_copy_of_any_length_to_any_place_changes_nothing_else() {
    let _turn = pool();
    let frames = Frames::one().unwrap();
    for (offset, len) in [(0, 1), (1, 63), (8, 64), (3, 65), (16, 200), (5, 4091), (0, 4096)] {
        let wanted: Vec<u8> = (0..len).map(|index| index as u8 | 1).collect();
        // SAFETY: the frame is ours.
        unsafe { copy_to(frames.addr(), &[0; PAGE_SIZE as usize]) };
        // SAFETY: likewise; the place ends within it.
        unsafe { copy_to(frames.addr() + offset, &wanted) };
        let mut bytes = [0; PAGE_SIZE as usize];
        // SAFETY: likewise.
        unsafe { copy_from(frames.addr(), &mut bytes) };
        let place = offset as usize..offset as usize + len;
        assert!(bytes[place.clone()] == wanted, "{offset}, {len}");
        let others = bytes.iter().enumerate().filter(|(at, _)| !place.contains(at));
        assert!(others.map(|(_, byte)| byte).all(|byte| *byte == 0), "{offset}, {len}");
    }
}

#[test]
fn zeroing_a_part_stays_within_it() {
    let _turn = pool();
    let frames = Frames::one().unwrap();
    for (offset, len, zeroed) in [
        (8, 16, 8..24),
        (1, 3, 1..4),
        (4090, 100, 4090..4096),
        (5000, 10, 0..0),
        (u64::MAX, 8, 0..0),
    ] {
        let mut bytes = [0xff_u8; PAGE_SIZE as usize];
        // SAFETY: the frame is ours.
        unsafe { copy_to(frames.addr(), &bytes) };
        frames.zero_part(offset, len);
        // SAFETY: likewise.
        unsafe { copy_from(frames.addr(), &mut bytes) };
        for (at, byte) in bytes.into_iter().enumerate() {
            assert_eq!(byte == 0, zeroed.contains(&at), "{offset}, {len}: byte {at}");
        }
    }
}

#[test]
fn tables_are_zero_at_first_and_go_back_all_together() {
    let _turn = pool();
    let before = counters().free;
    let mut tables = FrameTables::default();
    let table = tables.alloc().unwrap();
    assert!((0..512).all(|index| tables.read(table, index) == 0));
    tables.write(table, 511, 7);
    assert_eq!(tables.read(table, 511), 7);
    tables.alloc().unwrap();
    assert_eq!((tables.bytes(), counters().free), (2 * PAGE_SIZE, before - 2 * PAGE_SIZE));
    drop(tables);
    assert_eq!(counters().free, before);
}
