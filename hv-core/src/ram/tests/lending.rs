//! RAM of which pages come and go.

use super::*;
use crate::guest::Lender;
use std::collections::{BTreeMap, BTreeSet};

const PAGE: u64 = PAGE_SIZE;

fn lending_ram(len: u64) -> GuestRam {
    let ram = GuestRam::new(&[Range { start: BASE.0, end: BASE.0 + len }], Lending::Pages).unwrap();
    assert_eq!(ram.zero(0, len), Ok(len));
    ram
}

fn page(number: u64) -> GuestPhysAddr {
    GuestPhysAddr(BASE.0 + number * PAGE)
}

fn collect_all(ram: &GuestRam) {
    while ram.lent().0 > 0 {
        ram.collect();
    }
}

fn byte(ram: &GuestRam, addr: GuestPhysAddr) -> u8 {
    let mut byte = [0];
    ram.read(addr, &mut byte).unwrap();
    byte[0]
}

#[test]
fn pages_that_are_lent_go_back_to_the_machine_and_come_back_empty() {
    let _turn = pool();
    let before = free();
    let ram = lending_ram(2 * CHUNK);
    ram.write(BASE, &vec![7; 2 * CHUNK as usize]).unwrap();
    let without = free();
    for number in [3, 4, 700] {
        ram.frames.lend(page(number));
    }
    assert_eq!((ram.lent(), free()), ((3 * PAGE, 0), without));
    ram.collect();
    // A table for each of the two blocks that were split.
    assert_eq!((ram.lent(), free()), ((0, 3 * PAGE), without + 3 * PAGE - 2 * PAGE));
    assert_eq!(translate(&ram, page(3).0), None);
    assert!(translate(&ram, page(5).0).is_some());
    assert_eq!(byte(&ram, page(3)), 0);
    assert_eq!(byte(&ram, page(5)), 7);
    ram.frames.take_back(page(3)).unwrap();
    assert_eq!((ram.lent(), byte(&ram, page(3))), ((0, 2 * PAGE), 0));
    assert!(translate(&ram, page(3).0).is_some());
    drop(ram);
    assert_eq!(free(), before);
}

#[test]
fn a_page_that_is_wanted_back_at_once_was_never_gone() {
    let _turn = pool();
    let ram = lending_ram(CHUNK);
    ram.write(page(1), &[9]).unwrap();
    ram.frames.lend(page(1));
    ram.frames.take_back(page(1)).unwrap();
    ram.collect();
    assert_eq!((ram.lent(), byte(&ram, page(1))), ((0, 0), 9));
    ram.frames.lend(page(2));
    ram.frames.forget_lent();
    ram.collect();
    assert_eq!(ram.lent(), (0, 0));
}

#[test]
fn what_is_no_ram_or_lent_already_is_ignored() {
    let _turn = pool();
    let before = free();
    let ram = lending_ram(CHUNK);
    for addr in [0, BASE.0 - PAGE, BASE.0 + CHUNK, !(PAGE - 1), 1 << 43] {
        ram.frames.lend(GuestPhysAddr(addr));
        assert_eq!(ram.frames.take_back(GuestPhysAddr(addr)), Ok(()));
    }
    assert_eq!(ram.lent(), (0, 0));
    for _ in 0..3 {
        ram.frames.lend(page(0));
        ram.frames.lend(page(0));
        collect_all(&ram);
        assert_eq!(ram.lent(), (0, PAGE));
    }
    assert_eq!(ram.frames.take_back(page(1)), Ok(()), "it never was");
    assert_eq!(ram.lent(), (0, PAGE));
    drop(ram);
    assert_eq!(free(), before);
}

#[test]
fn a_page_that_is_missed_comes_back_and_what_is_no_ram_does_not() {
    let _turn = pool();
    let ram = lending_ram(CHUNK);
    ram.frames.lend(page(9));
    collect_all(&ram);
    assert_eq!(ram.touch(GuestPhysAddr(page(9).0 + 123)), Touched::Present);
    assert_eq!(ram.lent(), (0, 0));
    assert_eq!(ram.touch(page(512)), Touched::Nothing);
    let fixed = new_ram(BASE, CHUNK).unwrap();
    assert_eq!(fixed.touch(page(9)), Touched::Nothing);
    fixed.frames.lend(page(9));
    assert_eq!(fixed.lent(), (0, 0));
}

#[test]
fn without_memory_a_page_stays_away_and_nothing_is_written() {
    let _turn = pool();
    let ram = lending_ram(CHUNK);
    ram.frames.lend(page(1));
    collect_all(&ram);
    let mut others = Vec::new();
    while available() > 0
        && let Some(frames) = Frames::one()
    {
        others.push(frames);
    }
    assert_eq!(ram.frames.take_back(page(1)), Err(NoPage));
    assert_eq!(ram.touch(page(1)), Touched::Nothing);
    assert_eq!(ram.write(GuestPhysAddr(page(1).0 - 4), &[1; 8]), Err(BadAddress));
    assert_eq!(byte(&ram, GuestPhysAddr(page(1).0 - 1)), 0, "not even the half of it");
    assert!(matches!(ram.zero(0, CHUNK), Err(RamError::NoMemory { wanted: PAGE, free: 0 })));
    drop(others);
    assert_eq!(ram.write(GuestPhysAddr(page(1).0 - 4), &[1; 8]), Ok(()));
    assert_eq!((ram.lent(), byte(&ram, GuestPhysAddr(page(1).0 + 3))), ((0, 0), 1));
}

#[test]
fn zeroing_brings_everything_back() {
    let _turn = pool();
    let ram = lending_ram(2 * CHUNK);
    ram.write(BASE, &vec![7; 2 * CHUNK as usize]).unwrap();
    for number in (0..1024).step_by(3) {
        ram.frames.lend(page(number));
    }
    collect_all(&ram);
    assert_eq!(ram.zero(0, 2 * CHUNK), Ok(2 * CHUNK));
    assert_eq!(ram.lent(), (0, 0));
    let mut all = vec![1; 2 * CHUNK as usize];
    ram.read(BASE, &mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 0));
}

#[test]
fn a_guest_can_be_made_of_single_pages_that_another_one_lent() {
    let _turn = pool();
    let before = free();
    let donor = lending_ram(6 * CHUNK);
    let mut others = Vec::new();
    while let Some(chunk) = Frames::chunks(1, 1) {
        others.push(chunk);
    }
    // No chunk is whole, and memory is there all the same.
    for number in (0..6 * 512).filter(|number| number % 5 != 0) {
        donor.frames.lend(page(number));
    }
    collect_all(&donor);
    let reserve: Vec<_> =
        others.drain(..).zip(0..RESERVE / CHUNK + 1).map(|(chunk, _)| chunk).collect();
    let mut pages = Vec::new();
    for chunk in reserve {
        drop(chunk);
        pages.push(Frames::one().unwrap());
    }
    let guest = lending_ram(CHUNK);
    guest.write(BASE, &vec![3; CHUNK as usize]).unwrap();
    let mut all = vec![0; CHUNK as usize];
    guest.read(BASE, &mut all).unwrap();
    assert!(all.iter().all(|&byte| byte == 3));
    drop((guest, donor, others, pages));
    assert_eq!(free(), before);
}

#[derive(Clone, Debug)]
enum Step {
    Lend(u64),
    TakeBack(u64),
    Collect,
    Touch(u64),
    Write(u64, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..1024_u64;
    let step = prop_oneof![
        4 => number.clone().prop_map(Step::Lend),
        2 => number.clone().prop_map(Step::TakeBack),
        1 => Just(Step::Collect),
        1 => number.clone().prop_map(Step::Touch),
        3 => (number, 1..=255_u8).prop_map(|(number, byte)| Step::Write(number, byte)),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_two_guests_ever_share_a_page(first in steps(), second in steps()) {
        let _turn = pool();
        let before = free();
        let guests = [lending_ram(2 * CHUNK), lending_ram(2 * CHUNK)];
        let mut models = [BTreeMap::new(), BTreeMap::new()];
        let mut waiting = [BTreeSet::new(), BTreeSet::new()];
        let mut rest = [first.into_iter(), second.into_iter()];
        loop {
            let mut is_over = true;
            for who in 0..2 {
                let (ram, model, waiting) = (&guests[who], &mut models[who], &mut waiting[who]);
                let Some(step) = rest[who].next() else { continue };
                is_over = false;
                match step {
                    Step::Lend(number) => {
                        ram.frames.lend(page(number));
                        if translate(ram, page(number).0).is_some() {
                            waiting.insert(number);
                        }
                    }
                    Step::TakeBack(number) => {
                        ram.frames.take_back(page(number)).unwrap();
                        waiting.remove(&number);
                    }
                    Step::Collect => {
                        collect_all(ram);
                        model.retain(|number, _| !waiting.contains(number));
                        for number in core::mem::take(waiting) {
                            prop_assert_eq!(translate(ram, page(number).0), None);
                        }
                    }
                    Step::Touch(number) => {
                        prop_assert_eq!(ram.touch(page(number)), Touched::Present);
                    }
                    Step::Write(number, byte) => {
                        ram.write(page(number), &[byte; PAGE as usize]).unwrap();
                        model.insert(number, byte);
                    }
                }
            }
            if is_over {
                break;
            }
        }
        for (ram, model) in guests.iter().zip(&models) {
            for number in 0..1024 {
                let wanted = model.get(&number).copied().unwrap_or(0);
                let mut found = [1; PAGE as usize];
                ram.read(page(number), &mut found).unwrap();
                prop_assert!(found.iter().all(|byte| *byte == wanted), "page {}", number);
            }
        }
        // By the tables: each page is in one place at most.
        let places: Vec<u64> = guests
            .iter()
            .flat_map(|ram| (0..1024).filter_map(|number| translate(ram, page(number).0)))
            .collect();
        prop_assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len());
        drop(guests);
        prop_assert_eq!(free(), before);
    }
}
