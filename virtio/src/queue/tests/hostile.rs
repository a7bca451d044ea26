//! Drivers that do what drivers must not.

use super::*;
use crate::testing::driver::put_descriptor;
use crate::testing::ram::ShiftingRam;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const FIRST_LAP: u16 = 1 << 7;

const SIZE: u16 = 8;

/// A descriptor: address, length, flags, next. Packed ones go one after the other.
type Raw = (u64, u32, u16, u16);

/// The device takes what these descriptors describe, from the first on.
fn pop_of(kind: QueueKind, descriptors: &[Raw]) -> Result<Option<Chain>, Fault> {
    pop_with(config(kind, SIZE, false), descriptors, &[])
}

/// The same with a table of descriptors at `BUFFERS`.
fn pop_with(
    config: QueueConfig,
    descriptors: &[Raw],
    table: &[Raw],
) -> Result<Option<Chain>, Fault> {
    let (ram, mut driver, mut queue) = both_sides(config);
    let put = |at: GuestPhysAddr, (addr, len, flags, next): Raw, mark: u16| {
        let last = match config.kind {
            QueueKind::Split => [flags, next],
            QueueKind::Packed => [next, flags | mark],
        };
        put_descriptor(&*ram, at, addr, len, last);
    };
    for (index, raw) in (0..).zip(descriptors) {
        put(driver.descriptor(index), *raw, FIRST_LAP);
    }
    for (index, raw) in (0..).zip(table) {
        put(GuestPhysAddr(BUFFERS + 16 * index), *raw, 0);
    }
    if config.kind == QueueKind::Split {
        driver.offer(&ram, 0);
    }
    queue.pop(&*ram)
}

fn fault_of(kind: QueueKind, descriptors: &[Raw]) -> Fault {
    pop_of(kind, descriptors).unwrap_err()
}

const KINDS: [QueueKind; 2] = [QueueKind::Split, QueueKind::Packed];
/// Somewhere for data, beyond the tables.
const DATA: u64 = BUFFERS + 0x1_0000;

#[test]
fn a_loop_is_a_fault() {
    let itself = [(DATA, 1, NEXT, 0)];
    assert_eq!(fault_of(QueueKind::Split, &itself), Fault::ChainLength);
    let back = [(DATA, 1, NEXT, 1), (DATA, 1, NEXT, 2), (DATA, 1, NEXT, 0)];
    assert_eq!(fault_of(QueueKind::Split, &back), Fault::ChainLength);
    // Packed, a loop is a ring that is one list.
    let all = [(DATA, 1, NEXT, 0); SIZE as usize];
    assert_eq!(fault_of(QueueKind::Packed, &all), Fault::ChainLength);
}

#[test]
fn a_loop_in_a_table_is_a_fault() {
    let config = config(QueueKind::Split, SIZE, false);
    let table = [(DATA, 1, NEXT, 1), (DATA, 1, NEXT, 0)];
    let fault = pop_with(config, &[(BUFFERS, 32, INDIRECT, 0)], &table);
    assert_eq!(fault, Err(Fault::ChainLength));
}

#[test]
fn a_list_that_reaches_into_what_is_lent_is_a_fault() {
    let (ram, mut driver, mut queue) = both_sides(config(QueueKind::Packed, 4, false));
    driver.add(&ram, &[element(0, 1, Direction::ToDevice)], Form::Direct).unwrap();
    queue.pop(&*ram).unwrap().unwrap();
    for index in 1..4 {
        put_descriptor(&*ram, driver.descriptor(index), DATA, 1, [0, NEXT | FIRST_LAP]);
    }
    put_descriptor(&*ram, driver.descriptor(0), DATA, 1, [0, FIRST_LAP]);
    assert_eq!(queue.pop(&*ram), Err(Fault::ChainLength));
}

#[test]
fn an_index_out_of_its_table_is_a_fault() {
    assert_eq!(fault_of(QueueKind::Split, &[(DATA, 1, NEXT, SIZE)]), Fault::DescriptorIndex);
    assert_eq!(fault_of(QueueKind::Split, &[(DATA, 1, NEXT, u16::MAX)]), Fault::DescriptorIndex);
    let config = config(QueueKind::Split, SIZE, false);
    let beyond = pop_with(config, &[(BUFFERS, 16, INDIRECT, 0)], &[(DATA, 1, NEXT, 1)]);
    // A table of one entry is at its end before it looks for the next.
    assert_eq!(beyond, Err(Fault::ChainLength));
    let beyond = pop_with(config, &[(BUFFERS, 48, INDIRECT, 0)], &[(DATA, 1, NEXT, 3)]);
    assert_eq!(beyond, Err(Fault::DescriptorIndex));
    let (ram, mut driver, mut queue) = both_sides(config);
    driver.offer(&ram, SIZE);
    assert_eq!(queue.pop(&*ram), Err(Fault::DescriptorIndex));
}

#[test]
fn an_available_index_that_runs_away_is_a_fault() {
    for index in [SIZE + 1, u16::MAX] {
        let (ram, driver, mut queue) = both_sides(config(QueueKind::Split, SIZE, false));
        ram.put(GuestPhysAddr(driver.config.driver.0 + 2), &index.to_le_bytes());
        assert_eq!(queue.pop(&*ram), Err(Fault::AvailableIndex));
    }
}

#[test]
fn no_more_buffers_are_taken_than_the_queue_has_entries() {
    let (ram, mut driver, mut queue) = both_sides(config(QueueKind::Split, SIZE, false));
    driver.add(&ram, &[element(0, 1, Direction::ToDevice)], Form::Direct).unwrap();
    let mut lent = vec![queue.pop(&*ram).unwrap().unwrap()];
    let head = lent[0].id();
    for _ in 1..SIZE {
        driver.offer(&ram, head);
        lent.push(queue.pop(&*ram).unwrap().unwrap());
    }
    driver.offer(&ram, head);
    assert_eq!(queue.pop(&*ram), Err(Fault::TooManyBuffers));

    let (ram, mut driver, mut queue) = both_sides(config(QueueKind::Packed, SIZE, false));
    for _ in 0..SIZE {
        driver.add(&ram, &[element(0, 1, Direction::ToDevice)], Form::Direct).unwrap();
        lent.push(queue.pop(&*ram).unwrap().unwrap());
    }
    // Available in the second lap.
    put_descriptor(&*ram, driver.descriptor(0), DATA, 1, [0, 1 << 15]);
    assert_eq!(queue.pop(&*ram), Err(Fault::TooManyBuffers));
}

#[test]
fn a_segment_without_bytes_is_a_fault() {
    for kind in KINDS {
        assert_eq!(fault_of(kind, &[(DATA, 0, 0, 0)]), Fault::ZeroLength);
        assert_eq!(fault_of(kind, &[(DATA, 1, NEXT, 1), (DATA, 0, WRITE, 0)]), Fault::ZeroLength);
    }
}

#[test]
fn a_segment_outside_of_ram_is_a_fault() {
    let end = BASE + RAM_BYTES as u64;
    for kind in KINDS {
        for (addr, len) in [
            (0, 1),
            (BASE - 1, 2),
            (BASE - 1, 1),
            (end, 1),
            (end - 1, 2),
            (u64::MAX, 1),
            (u64::MAX, 2),
            (u64::MAX - 3, u32::MAX),
            (DATA, u32::MAX),
        ] {
            for flags in [0, WRITE] {
                assert_eq!(fault_of(kind, &[(addr, len, flags, 0)]), Fault::SegmentOutsideRam);
            }
            let fault = fault_of(kind, &[(addr, len & !15 | 16, INDIRECT, 0)]);
            assert_eq!(fault, Fault::SegmentOutsideRam);
        }
        assert!(pop_of(kind, &[(end - 1, 1, 0, 0)]).unwrap().is_some());
    }
}

#[test]
fn a_readable_segment_behind_a_writable_one_is_a_fault() {
    for kind in KINDS {
        let fault = fault_of(kind, &[(DATA, 1, NEXT | WRITE, 1), (DATA + 8, 1, 0, 0)]);
        assert_eq!(fault, Fault::SegmentOrder);
    }
}

#[test]
fn a_writable_segment_over_a_readable_one_is_a_fault() {
    for kind in KINDS {
        for (addr, len) in [(DATA, 8), (DATA + 7, 1), (DATA - 1, 2), (DATA - 8, 32)] {
            let fault = fault_of(kind, &[(DATA, 8, NEXT, 1), (addr, len, WRITE, 0)]);
            assert_eq!(fault, Fault::SegmentOverlap);
        }
        for addr in [DATA - 4, DATA + 8] {
            let chain = pop_of(kind, &[(DATA, 8, NEXT, 1), (addr, 4, WRITE, 0)]);
            assert!(chain.unwrap().is_some());
        }
        // Between two readable ones there is room.
        let between = [(DATA, 8, NEXT, 1), (DATA + 12, 8, NEXT, 2), (DATA + 8, 4, WRITE, 0)];
        assert!(pop_of(kind, &between).unwrap().is_some());
    }
}

#[test]
fn segments_of_one_kind_may_overlap() {
    for kind in KINDS {
        for flags in [0, WRITE] {
            let chain = pop_of(kind, &[(DATA, 8, NEXT | flags, 1), (DATA, 8, flags, 0)]);
            assert!(chain.unwrap().is_some());
        }
    }
}

#[test]
fn a_writable_segment_over_the_queue_is_a_fault() {
    for kind in KINDS {
        let (_, driver, _) = both_sides(config(kind, SIZE, false));
        let QueueConfig { descriptors, driver, device, .. } = driver.config;
        for addr in [descriptors.0, descriptors.0 + 127, driver.0 + 3, device.0, device.0 + 3] {
            assert_eq!(fault_of(kind, &[(addr, 1, WRITE, 0)]), Fault::SegmentOverlap);
            // To read it is odd, but does no harm.
            assert!(pop_of(kind, &[(addr, 1, 0, 0)]).unwrap().is_some());
        }
    }
}

#[test]
fn more_than_4_gib_in_all_are_a_fault() {
    /// All of it is RAM, and what matters lies in the vector.
    struct Vast(Arc<TestRam>);
    impl GuestMemory for Vast {
        fn read(
            &self,
            addr: GuestPhysAddr,
            buf: &mut [u8],
        ) -> Result<(), hv_core::guest::BadAddress> {
            self.0.read(addr, buf)
        }
        fn write(&self, addr: GuestPhysAddr, buf: &[u8]) -> Result<(), hv_core::guest::BadAddress> {
            self.0.write(addr, buf)
        }
        fn contains(&self, _: GuestPhysAddr, _: u64) -> bool {
            true
        }
    }
    for kind in KINDS {
        for (len, expected) in [(1, Ok(())), (2, Err(Fault::TotalLength))] {
            let (ram, mut driver, mut queue) = both_sides(config(kind, SIZE, false));
            let vast = Element {
                addr: GuestPhysAddr(1 << 40),
                len: u32::MAX,
                ..element(0, 1, Direction::FromDevice)
            };
            let rest = element(0, len, Direction::FromDevice);
            driver.add(&ram, &[vast, rest], Form::Direct).unwrap();
            let chain = queue.pop(&Vast(ram));
            assert_eq!(
                chain.map(|chain| assert_eq!(chain.unwrap().writable_len(), 1 << 32)),
                expected
            );
        }
    }
}

#[test]
fn a_table_that_was_not_agreed_on_is_a_fault() {
    for kind in KINDS {
        let config = QueueConfig { indirect: false, ..config(kind, SIZE, false) };
        let fault = pop_with(config, &[(BUFFERS, 16, INDIRECT, 0)], &[(DATA, 1, 0, 0)]);
        assert_eq!(fault, Err(Fault::IndirectNotNegotiated));
    }
}

#[test]
fn a_table_in_a_table_is_a_fault() {
    let config = config(QueueKind::Split, SIZE, false);
    let fault = pop_with(config, &[(BUFFERS, 16, INDIRECT, 0)], &[(BUFFERS, 16, INDIRECT, 0)]);
    assert_eq!(fault, Err(Fault::IndirectNested));
}

#[test]
fn a_packed_table_ignores_all_flags_but_one() {
    let config = config(QueueKind::Packed, SIZE, false);
    let table = [(DATA, 16, INDIRECT | NEXT, 7), (DATA + 16, 1, WRITE | INDIRECT, 9)];
    let chain = pop_with(config, &[(BUFFERS, 32, INDIRECT | WRITE, 5)], &table).unwrap().unwrap();
    assert_eq!((chain.id(), chain.readable_len(), chain.writable_len()), (5, 16, 1));
}

#[test]
fn a_table_that_is_chained_is_a_fault() {
    for kind in KINDS {
        let fault = fault_of(kind, &[(BUFFERS, 16, INDIRECT | NEXT, 1), (DATA, 1, 0, 0)]);
        assert_eq!(fault, Fault::IndirectChained);
    }
    let behind = [(DATA, 1, NEXT, 1), (BUFFERS, 16, INDIRECT, 3)];
    assert_eq!(fault_of(QueueKind::Packed, &behind), Fault::IndirectChained);
    // Split, a table may end a chain (2.7.5.3.2).
    let config = config(QueueKind::Split, SIZE, false);
    let chain = pop_with(config, &behind, &[(DATA + 8, 4, WRITE, 0)]).unwrap().unwrap();
    assert_eq!((chain.readable_len(), chain.writable_len()), (1, 4));
}

#[test]
fn a_table_of_an_odd_size_is_a_fault() {
    for kind in KINDS {
        for len in [0, 1, 15, 17, 24] {
            assert_eq!(fault_of(kind, &[(BUFFERS, len, INDIRECT, 0)]), Fault::IndirectSize);
        }
    }
}

#[test]
fn a_table_of_too_many_segments_is_a_fault_and_takes_bounded_memory() {
    for kind in KINDS {
        let config = config(kind, SIZE, false);
        let bytes = 16 * (MAX_SEGMENTS as u32 + 1);
        let count = MAX_SEGMENTS as u16 + 1;
        let table: Vec<Raw> =
            (0..count).map(|index| (DATA + 0x1_0000, 1, NEXT, index + 1)).collect();
        let fault = pop_with(config, &[(BUFFERS, bytes, INDIRECT, 0)], &table);
        assert_eq!(fault, Err(Fault::ChainLength));
    }
}

#[test]
fn a_queue_of_an_impossible_shape_is_refused() {
    let ram = TestRam::new(BASE, RAM_BYTES);
    let refused = |config: QueueConfig| Queue::new(config, &*ram).err().unwrap();
    for kind in KINDS {
        let good = DriverQueue::new(&ram, RING, config(kind, SIZE, true)).config;
        assert!(Queue::new(good, &*ram).is_ok());
        assert_eq!(refused(QueueConfig { size: 0, ..good }), Fault::QueueSize);
        assert_eq!(refused(QueueConfig { size: u16::MAX, ..good }), Fault::QueueSize);
        assert_eq!(refused(QueueConfig { size: MAX_SIZE + 1, ..good }), Fault::QueueSize);
        for off in [1, 2, 4, 8] {
            let descriptors = GuestPhysAddr(good.descriptors.0 + off);
            assert_eq!(refused(QueueConfig { descriptors, ..good }), Fault::QueueAlignment);
        }
        let driver = GuestPhysAddr(good.driver.0 + 1);
        assert_eq!(refused(QueueConfig { driver, ..good }), Fault::QueueAlignment);
        let device = GuestPhysAddr(good.device.0 + 2);
        assert_eq!(refused(QueueConfig { device, ..good }), Fault::QueueAlignment);
        let end = BASE + RAM_BYTES as u64;
        for addr in [0, end - 112, end, 16u64.wrapping_neg()] {
            let descriptors = GuestPhysAddr(addr);
            assert_eq!(refused(QueueConfig { descriptors, ..good }), Fault::QueueOutsideRam);
        }
        for addr in [0, end, 4u64.wrapping_neg()] {
            let addr = GuestPhysAddr(addr);
            assert_eq!(refused(QueueConfig { driver: addr, ..good }), Fault::QueueOutsideRam);
            assert_eq!(refused(QueueConfig { device: addr, ..good }), Fault::QueueOutsideRam);
        }
        assert_eq!(refused(QueueConfig { driver: good.device, ..good }), Fault::QueueOverlap);
        let device = GuestPhysAddr(good.descriptors.0 + 124);
        assert_eq!(refused(QueueConfig { device, ..good }), Fault::QueueOverlap);
    }
    let odd = DriverQueue::new(&ram, RING, config(QueueKind::Split, SIZE, true)).config;
    assert_eq!(refused(QueueConfig { size: 7, ..odd }), Fault::QueueSize);
}

/// Rings full of plausible nonsense: descriptors that mostly point to RAM, flags of all kinds.
fn nonsense() -> impl Strategy<Value = Vec<(u64, u32, u16, u16)>> {
    let addr = prop_oneof![
        8 => (0..0x800u64).prop_map(|offset| BASE + 16 * offset),
        1 => any::<u64>(),
        1 => (0..RAM_BYTES as u64).prop_map(|offset| BASE + offset),
    ];
    let len =
        prop_oneof![8 => (0..8u32).prop_map(|count| 16 * count), 1 => any::<u32>(), 1 => 0..300u32];
    let flags = prop_oneof![4 => 0..8u16, 1 => any::<u16>()];
    let marks = prop_oneof![4 => Just(FIRST_LAP), 1 => Just(1 << 15), 1 => Just(0)];
    let flags = (flags, marks).prop_map(|(flags, mark)| flags | mark);
    let next = prop_oneof![8 => 0..20u16, 1 => any::<u16>()];
    prop::collection::vec((addr, len, flags, next), 64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_the_ring_holds_and_becomes_a_chain_is_sound(
        config in any_config(),
        raws in nonsense(),
        heads in prop::collection::vec(0..20u16, 40),
        script in prop::collection::vec((any::<u16>(), any::<u8>()), 0..40),
        keep in any::<u8>(),
    ) {
        let (ram, mut driver, mut queue) = both_sides(config);
        for (index, (addr, len, flags, next)) in (0..).zip(&raws) {
            let last = match config.kind {
                QueueKind::Split => [flags & 0xff7f, *next],
                QueueKind::Packed => [*next, *flags],
            };
            let at = if index < config.size {
                driver.descriptor(index)
            } else {
                GuestPhysAddr(BUFFERS + 16 * u64::from(index))
            };
            put_descriptor(&*ram, at, *addr, *len, last);
        }
        let shifting = ShiftingRam::new(Arc::clone(&ram), driver.range(), script);
        let mut lent = Vec::new();
        for head in heads {
            if config.kind == QueueKind::Split {
                driver.offer(&ram, head);
            }
            // After a fault a device touches its queue no more; here it does, which is worse.
            if let Ok(Some(chain)) = queue.pop(&shifting) {
                check(&chain, &ram);
                lent.push(chain);
                prop_assert!(lent.len() <= usize::from(config.size));
            }
            if lent.len() > usize::from(keep) % 8 {
                let _ = queue.push(&shifting, lent.swap_remove(0), 1);
            }
            let _ = queue.needs_interrupt(&shifting);
            let _ = queue.enable_notifications(&shifting);
        }
    }
}

fn check(chain: &Chain, ram: &TestRam) {
    let segments = || chain.readable().iter().chain(chain.writable());
    assert!(segments().all(|segment| segment.len != 0));
    assert!(segments().all(|segment| ram.contains(segment.addr, u64::from(segment.len))));
    assert!((1..=MAX_SEGMENTS).contains(&segments().count()));
    let sum =
        |segments: &[Segment]| segments.iter().map(|segment| u64::from(segment.len)).sum::<u64>();
    assert_eq!(chain.readable_len(), sum(chain.readable()));
    assert_eq!(chain.writable_len(), sum(chain.writable()));
    for writable in chain.writable() {
        assert!(!chain.readable().iter().any(|readable| readable.overlaps(*writable)));
    }
}
