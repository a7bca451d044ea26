use super::*;
use crate::queue::QueueKind;
use crate::testing::guest::{Guest, RAM_BASE, RAM_BYTES, Taste, register};
use hv_core::guest::Device;
use hv_core::time::Instant;
use std::collections::BTreeSet;

#[derive(Default)]
struct Sink {
    taken: BTreeSet<u64>,
    has_none: bool,
}

impl PageSink for Sink {
    fn take(&mut self, page: GuestPhysAddr) {
        self.taken.insert(page.0);
    }
    fn give_back(&mut self, page: GuestPhysAddr) -> Result<(), NoMemory> {
        if self.has_none {
            return Err(NoMemory);
        }
        self.taken.remove(&page.0);
        Ok(())
    }
    fn give_all_back(&mut self) {
        self.taken.clear();
    }
}

fn guest() -> Guest<Balloon<Sink>> {
    Guest::new(Balloon::new(Sink::default()), Taste::default())
}

fn numbers(pages: impl IntoIterator<Item = u64>) -> Vec<u8> {
    pages.into_iter().flat_map(|page| ((page / PAGE_BYTES) as u32).to_le_bytes()).collect()
}

fn taken(guest: &mut Guest<Balloon<Sink>>) -> Vec<u64> {
    guest.device.call(|balloon, _| balloon.sink().taken.iter().copied().collect())
}

#[test]
fn a_target_is_a_change_of_the_configuration() {
    let mut guest = guest();
    guest.device.call(|balloon, context| balloon.set_target(300, context));
    assert_eq!(guest.get(register::INTERRUPT_STATUS), 2);
    assert_eq!(guest.config(0, Width::B4), 300);
    guest.set(register::CONFIG + 4, 299);
    guest.set(register::CONFIG, 7);
    guest.device.write(register::CONFIG + 2, Width::B4, u64::MAX, Instant(0));
    assert_eq!(guest.device.device().target(), 300);
    assert_eq!(guest.device.device().actual(), 0xffff);
}

#[test]
fn pages_are_lent_and_come_back() {
    for kind in [QueueKind::Split, QueueKind::Packed] {
        let taste = Taste { kind, ..Taste::default() };
        let mut guest = Guest::new(Balloon::new(Sink::default()), taste);
        let pages = [RAM_BASE, RAM_BASE + 0x5000, RAM_BASE + RAM_BYTES - PAGE_BYTES];
        guest.send(0, &[&numbers(pages)], &[]).unwrap();
        assert!(guest.take(0).is_some());
        assert_eq!(taken(&mut guest), pages);
        guest.send(1, &[&numbers(pages[..2].iter().copied())], &[]).unwrap();
        assert!(guest.take(1).is_some());
        assert_eq!(taken(&mut guest), [pages[2]]);
    }
}

#[test]
fn pages_outside_of_ram_are_not_taken() {
    let mut guest = guest();
    let outside = [0, RAM_BASE - PAGE_BYTES, RAM_BASE + RAM_BYTES, u64::from(u32::MAX) << 12];
    guest.send(0, &[&numbers(outside)], &[]).unwrap();
    assert!(guest.take(0).is_some());
    assert!(taken(&mut guest).is_empty());
    assert!(!guest.needs_reset());
}

#[test]
fn many_pages_are_taken_in_turns() {
    let mut guest = guest();
    let pages = (0..600).map(|page| RAM_BASE + page * PAGE_BYTES);
    guest.send(0, &[&numbers(pages)], &[]).unwrap();
    assert_eq!(taken(&mut guest).len(), 256);
    assert_eq!((guest.bell.rings(), guest.take(0)), (1, None));
    assert_eq!(guest.device.poll(), More::Yes);
    assert_eq!(guest.take(0), None);
    assert_eq!(guest.device.poll(), More::No);
    assert_eq!(taken(&mut guest).len(), 600);
    assert!(guest.take(0).is_some());
}

#[test]
fn a_part_of_a_number_is_a_fault() {
    for len in [1, 3, 5] {
        let mut guest = guest();
        guest.send(0, &[&vec![0; len]], &[]).unwrap();
        assert!(guest.needs_reset());
    }
    let mut guest = guest();
    guest.send(1, &[], &[4]).unwrap();
    assert!(guest.needs_reset());
}

#[test]
fn a_page_that_there_is_no_memory_for_is_waited_for() {
    let mut guest = guest();
    let pages = [RAM_BASE, RAM_BASE + PAGE_BYTES];
    guest.send(0, &[&numbers(pages)], &[]).unwrap();
    assert!(guest.take(0).is_some());
    guest.device.call(|balloon, _| balloon.sink().has_none = true);
    guest.send(1, &[&numbers(pages)], &[]).unwrap();
    assert_eq!(guest.take(1), None);
    assert!(guest.device.device().is_short());
    // Neither more of them nor trying changes that.
    guest.send(1, &[&numbers(pages)], &[]).unwrap();
    guest.device.call(|balloon, context| balloon.retry(context));
    assert!(guest.device.device().is_short());
    assert_eq!((guest.take(1), taken(&mut guest).len()), (None, 2));
    assert!(!guest.needs_reset());
    guest.device.call(|balloon, _| balloon.sink().has_none = false);
    guest.device.call(|balloon, context| balloon.retry(context));
    assert!(!guest.device.device().is_short());
    assert!(guest.take(1).is_some() && guest.take(1).is_some());
    assert!(taken(&mut guest).is_empty());
    assert!(guest.interrupted());
}

#[test]
fn a_reset_empties_the_balloon_and_keeps_the_target() {
    let mut guest = guest();
    guest.device.call(|balloon, context| balloon.set_target(3, context));
    guest.send(0, &[&numbers([RAM_BASE])], &[]).unwrap();
    guest.set(register::CONFIG + 4, 1);
    guest.start();
    assert!(taken(&mut guest).is_empty());
    assert_eq!(guest.device.device().actual(), 0);
    assert_eq!(guest.device.device().target(), 3);
}

#[test]
fn statistics_come_when_they_are_asked_for() {
    let entry = |tag: u16, value: u64| [&tag.to_le_bytes()[..], &value.to_le_bytes()].concat();
    let mut guest = guest();
    let first = [entry(4, 1000), entry(99, 1), entry(5, 4000), vec![7; 9]].concat();
    guest.send(2, &[&first], &[]).unwrap();
    assert_eq!(guest.take(2), None);
    let statistics = guest.device.device().statistics();
    assert_eq!((statistics.free_bytes, statistics.total_bytes), (Some(1000), Some(4000)));
    assert_eq!(statistics.cache_bytes, None);
    guest.device.call(|balloon, context| balloon.request_statistics(context));
    assert!(guest.interrupted());
    assert!(guest.take(2).is_some());
    guest.send(2, &[&entry(7, 5)], &[]).unwrap();
    assert_eq!(guest.device.device().statistics().cache_bytes, Some(5));
    // It never had two to keep.
    guest.send(2, &[&entry(7, 6)], &[]).unwrap();
    assert_eq!(guest.device.device().statistics().cache_bytes, Some(6));
    assert!(guest.take(2).is_some());
    assert_eq!(guest.take(2), None);
}

#[test]
fn statistics_that_came_before_the_driver_was_ready_are_read() {
    let entry = [&4_u16.to_le_bytes()[..], &1000_u64.to_le_bytes()].concat();
    let mut guest = Guest::powered_on(Balloon::new(Sink::default()), Taste::default());
    guest.prepare();
    guest.send(2, &[&entry], &[]).unwrap();
    assert_eq!(guest.device.device().statistics().free_bytes, None);
    guest.set(register::STATUS, 0xf);
    assert_eq!(guest.device.device().statistics().free_bytes, Some(1000));
}
