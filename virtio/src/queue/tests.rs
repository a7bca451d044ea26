//! Queues against the driver of [`crate::testing::driver`]: honest histories here, the others in [`hostile`].

mod hostile;

use super::*;
use crate::testing::driver::{self, Direction, DriverQueue, Element, Form, Wish};
use crate::testing::ram::TestRam;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const BASE: u64 = 0x8000_0000;
const RING: GuestPhysAddr = GuestPhysAddr(BASE);
const BUFFERS: u64 = BASE + 0x1_0000;
const RAM_BYTES: usize = 0x4_0000;

fn config(kind: QueueKind, size: u16, event_index: bool) -> QueueConfig {
    let nowhere = GuestPhysAddr(0);
    QueueConfig {
        size,
        kind,
        descriptors: nowhere,
        driver: nowhere,
        device: nowhere,
        indirect: true,
        event_index,
    }
}

fn both_sides(config: QueueConfig) -> (Arc<TestRam>, DriverQueue, Queue) {
    let ram = TestRam::new(BASE, RAM_BYTES);
    let driver = DriverQueue::new(&ram, RING, config);
    let queue = Queue::new(driver.config, &*ram).unwrap();
    (ram, driver, queue)
}

fn element(number: u64, len: u32, direction: Direction) -> Element {
    Element { addr: GuestPhysAddr(BUFFERS + 64 * number), len, direction }
}

#[derive(Clone, Debug)]
enum Op {
    /// The driver adds so many buffers, with so many readable and writable elements, and then looks whether to notify.
    Add(Vec<(u8, u8, bool)>),
    /// The device, if awake, takes so many buffers.
    Take(u8),
    /// The device gives back one of those that it has.
    Give(u8, u32),
    /// The driver takes everything back, and says when it wants to hear more.
    Collect(Wish),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let shape = (0..4u8, 0..4u8, any::<bool>());
    let wish = prop_oneof![Just(Wish::Never), Just(Wish::Next), (1..8u16).prop_map(Wish::After)];
    let op = prop_oneof![
        3 => prop::collection::vec(shape, 1..4).prop_map(Op::Add),
        3 => (1..6u8).prop_map(Op::Take),
        6 => (any::<u8>(), 0..100u32).prop_map(|(which, written)| Op::Give(which, written)),
        2 => wish.prop_map(Op::Collect),
    ];
    prop::collection::vec(op, 1..300)
}

/// What a sleeping driver waits for: so many more (buffers, or descriptors if packed).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Driver {
    Awake,
    Waits(u16),
}

struct History {
    ram: Arc<TestRam>,
    driver: DriverQueue,
    queue: Queue,
    /// What was added and not taken yet.
    added: VecDeque<(u16, Vec<Element>)>,
    taken: Vec<Chain>,
    given: VecDeque<(u16, u32)>,
    is_device_asleep: bool,
    state: Driver,
    number: u64,
    tables: u64,
}

impl History {
    fn new(config: QueueConfig) -> Self {
        let (ram, driver, queue) = both_sides(config);
        Self {
            ram,
            driver,
            queue,
            added: VecDeque::new(),
            taken: Vec::new(),
            given: VecDeque::new(),
            is_device_asleep: false,
            state: Driver::Awake,
            number: 0,
            tables: 0,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Add(shapes) => {
                for (readable, writable, is_indirect) in shapes {
                    self.add(readable, writable, is_indirect);
                }
                let had_to = self.driver.must_notify(&self.ram);
                if self.is_device_asleep && !self.added.is_empty() {
                    assert!(had_to, "a sleeping device must be told of buffers");
                    self.is_device_asleep = false;
                }
            }
            Op::Take(count) if !self.is_device_asleep => self.take(count),
            Op::Take(_) => {}
            Op::Give(which, written) => self.give(which, written),
            Op::Collect(wish) => self.collect(wish),
        }
    }

    fn add(&mut self, readable: u8, writable: u8, is_indirect: bool) {
        let mut elements = Vec::new();
        for index in 0..readable + writable {
            let direction =
                if index < readable { Direction::ToDevice } else { Direction::FromDevice };
            elements.push(element(self.number % 256, 1 + u32::from(index), direction));
            self.number += 1;
        }
        let table = GuestPhysAddr(BUFFERS + 0x1_0000 + 256 * (self.tables % 64));
        self.tables += 1;
        let form = if is_indirect { Form::Indirect(table) } else { Form::Direct };
        if let Some(id) = self.driver.add(&self.ram, &elements, form) {
            self.added.push_back((id, elements));
        }
    }

    fn take(&mut self, count: u8) {
        for _ in 0..count {
            let mut found = self.queue.pop(&*self.ram).unwrap();
            if found.is_none() {
                self.queue.enable_notifications(&*self.ram).unwrap();
                found = self.queue.pop(&*self.ram).unwrap();
                self.is_device_asleep = found.is_none();
            }
            let Some(chain) = found else {
                assert!(self.added.is_empty(), "what was added is seen");
                return;
            };
            self.queue.disable_notifications(&*self.ram).unwrap();
            let (id, elements) = self.added.pop_front().expect("no more than was added is seen");
            assert_eq!(chain.id(), id);
            assert!(driver::matches(&chain, &elements));
            self.taken.push(chain);
        }
    }

    fn give(&mut self, which: u8, written: u32) {
        if self.taken.is_empty() {
            return;
        }
        let chain = self.taken.swap_remove(usize::from(which) % self.taken.len());
        // A driver ignores the length where nothing was to be written.
        let written = if chain.writable().is_empty() { 0 } else { written };
        self.given.push_back((chain.id(), written));
        let weight = chain.entries();
        self.queue.push(&*self.ram, chain, written).unwrap();
        let interrupt = self.queue.needs_interrupt(&*self.ram).unwrap();
        assert!(!self.queue.needs_interrupt(&*self.ram).unwrap(), "nothing is told twice");
        let has_event_index = self.driver.config.event_index;
        if let Driver::Waits(count) = self.state {
            let left = count.saturating_sub(weight);
            let is_due = count > 0 && left == 0;
            if is_due {
                assert!(interrupt, "a sleeping driver must be told");
            } else if has_event_index {
                assert!(!interrupt, "a driver is told when it asked to be, not earlier or later");
            }
            self.state = Driver::Waits(left);
        }
    }

    fn collect(&mut self, wish: Wish) {
        self.collect_all();
        self.driver.wish(&self.ram, wish);
        self.collect_all();
        let has_event_index = self.driver.config.event_index;
        self.state = match wish {
            Wish::Never => Driver::Awake,
            Wish::After(count) if has_event_index => {
                let count = count.min(self.driver.config.size);
                self.driver.wish(&self.ram, Wish::After(count));
                Driver::Waits(count)
            }
            Wish::Next | Wish::After(_) => Driver::Waits(1),
        };
    }

    fn collect_all(&mut self) {
        while let Some(used) = self.driver.take_used(&self.ram) {
            assert_eq!(self.given.pop_front(), Some((used.id, used.len)));
        }
        assert!(self.given.is_empty(), "what was given back arrives");
    }
}

fn any_config() -> impl Strategy<Value = QueueConfig> {
    let split = (0..5u32).prop_map(|bits| (QueueKind::Split, 1 << bits));
    let packed = (1..20u16).prop_map(|size| (QueueKind::Packed, size));
    (prop_oneof![split, packed], any::<bool>())
        .prop_map(|((kind, size), event_index)| config(kind, size, event_index))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_sides_see_all_buffers_in_order_and_no_sleeper_is_forgotten(
        config in any_config(), ops in ops()
    ) {
        let mut history = History::new(config);
        for op in ops {
            history.step(op);
        }
        // Everything comes back in the end.
        history.is_device_asleep = false;
        history.take(u8::MAX);
        while !history.taken.is_empty() {
            history.give(0, 1);
        }
        history.collect(Wish::Next);
        prop_assert_eq!(history.driver.lent(), 0);
    }
}

#[test]
fn indices_wrap_around_without_a_seam() {
    for kind in [QueueKind::Split, QueueKind::Packed] {
        for event_index in [false, true] {
            let mut history = History::new(config(kind, 4, event_index));
            // Split indices have 16 bits.
            for round in 0..17_000 {
                history.step(Op::Add(vec![(1, 0, false); 4]));
                history.step(Op::Take(5));
                for which in 0..4 {
                    history.step(Op::Give(which, round));
                }
                history.step(Op::Collect(Wish::Next));
            }
            assert_eq!(history.driver.lent(), 0);
            assert!(history.added.is_empty());
        }
    }
}

#[test]
fn a_chain_reads_and_writes_across_its_segments() {
    for kind in [QueueKind::Split, QueueKind::Packed] {
        let (ram, mut driver, mut queue) = both_sides(config(kind, 8, true));
        let elements = [
            element(0, 3, Direction::ToDevice),
            element(1, 5, Direction::ToDevice),
            element(2, 2, Direction::FromDevice),
            element(3, 4, Direction::FromDevice),
        ];
        ram.put(elements[0].addr, b"abcdef");
        ram.put(elements[1].addr, b"ghijkl");
        driver.add(&ram, &elements, Form::Direct).unwrap();
        let chain = queue.pop(&*ram).unwrap().unwrap();
        assert_eq!((chain.readable_len(), chain.writable_len()), (8, 6));
        let mut buf = [0; 6];
        chain.read_at(&*ram, 2, &mut buf).unwrap();
        assert_eq!(&buf, b"cghijk");
        chain.write_at(&*ram, 1, b"wxyz").unwrap();
        assert_eq!(ram.bytes(elements[2].addr, 3), b"\0w\0");
        assert_eq!(ram.bytes(elements[3].addr, 5), b"xyz\0\0");
        assert_eq!(chain.read_at(&*ram, 3, &mut buf), Err(OutOfBounds));
        assert_eq!(chain.read_at(&*ram, u64::MAX, &mut buf), Err(OutOfBounds));
        assert_eq!(chain.write_at(&*ram, 3, b"wxyz"), Err(OutOfBounds));
        chain.read_at(&*ram, 8, &mut []).unwrap();
        let (mut cursor, mut all) = (chain.readable_from(1), Vec::new());
        let mut byte = [0];
        while cursor.read(&*ram, &mut byte).is_ok() {
            all.extend(byte);
        }
        let mut wanted = [0; 7];
        chain.read_at(&*ram, 1, &mut wanted).unwrap();
        assert_eq!(all, wanted);
    }
}

#[test]
fn a_chain_of_another_queue_is_not_given_back() {
    let (ram, mut driver, mut queue) = both_sides(config(QueueKind::Split, 8, false));
    driver.add(&ram, &[element(0, 1, Direction::ToDevice)], Form::Direct).unwrap();
    let chain = queue.pop(&*ram).unwrap().unwrap();
    let mut after_reset = Queue::new(driver.config, &*ram).unwrap();
    after_reset.push(&*ram, chain, 0).unwrap();
    assert!(!after_reset.needs_interrupt(&*ram).unwrap());
    assert_eq!(driver.take_used(&ram), None);
}
