//! The pair as its drivers see it.

use super::*;
use crate::devices::wire::testing::Probe;
use hv_core::guest::{Device, Width};
use hv_core::sync::Mutex;
use hv_core::time::Instant;
use proptest::prelude::*;

struct Guest {
    pic: Pic8259,
    intr: Arc<Probe>,
}

const EOI: u8 = 0x20;
const SPECIFIC_EOI: u8 = 0x60;

impl Guest {
    fn new() -> Self {
        let intr = Arc::new(Probe::default());
        Self { pic: Pic8259::new(intr.clone()), intr }
    }

    /// What Linux's `init_8259A` does.
    fn initialized(icw4: u8) -> Self {
        let mut guest = Self::new();
        guest.pic.write(Block::Master, 1, 0xff);
        for (block, words) in
            [(Block::Master, [0x30, 0x04, icw4]), (Block::Slave, [0x38, 0x02, icw4 & 0x03])]
        {
            guest.pic.write(block, 0, 0x11);
            for word in words {
                guest.pic.write(block, 1, word);
            }
        }
        guest.pic.write(Block::Master, 1, 0);
        guest.pic.write(Block::Slave, 1, 0);
        guest
    }

    fn rise(&mut self, irq: u8) {
        self.pic.set_level(irq, Level::Low);
        self.pic.set_level(irq, Level::High);
    }

    fn end(&mut self, vector: u8) {
        if vector >= 0x38 {
            self.pic.write(Block::Slave, 0, SPECIFIC_EOI | (vector & 7));
            self.pic.write(Block::Master, 0, SPECIFIC_EOI | CASCADE);
        } else {
            self.pic.write(Block::Master, 0, SPECIFIC_EOI | (vector & 7));
        }
    }

    /// Takes and ends whatever there is.
    fn drain(&mut self) -> Vec<u8> {
        let mut taken = Vec::new();
        while self.intr.is_high() {
            let vector = self.pic.acknowledge();
            self.end(vector);
            taken.push(vector);
        }
        taken
    }
}

/// Linux's `probe_8259A`.
#[test]
fn linux_finds_the_mask_that_it_wrote() {
    let mut guest = Guest::new();
    guest.pic.write(Block::Slave, 1, 0xff);
    guest.pic.write(Block::Master, 1, 0xfb);
    assert_eq!(guest.pic.read(Block::Master, 1), 0xfb);
}

#[test]
fn nothing_interrupts_before_it_is_set_up() {
    let mut guest = Guest::new();
    for irq in 0..16 {
        guest.rise(irq);
    }
    assert!(!guest.intr.is_high());
}

#[test]
fn the_most_urgent_comes_first() {
    let mut guest = Guest::initialized(1);
    for irq in 0..=u8::MAX {
        guest.rise(irq);
    }
    let expected: Vec<u8> = [0x30, 0x31].into_iter().chain(0x38..0x40).chain(0x33..0x38).collect();
    assert_eq!(guest.drain(), expected);
}

#[test]
fn a_more_urgent_one_nests_and_a_less_urgent_one_waits() {
    let mut guest = Guest::initialized(1);
    guest.rise(4);
    assert_eq!(guest.pic.acknowledge(), 0x34);
    guest.rise(5);
    assert!(!guest.intr.is_high());
    guest.rise(1);
    assert!(guest.intr.is_high());
    assert_eq!(guest.pic.acknowledge(), 0x31);
    guest.pic.write(Block::Master, 0, 0x0b);
    assert_eq!(guest.pic.read(Block::Master, 0), 0x12);
    guest.pic.write(Block::Master, 0, EOI);
    assert_eq!(guest.pic.read(Block::Master, 0), 0x10, "the most urgent is ended");
    guest.pic.write(Block::Master, 0, EOI);
    assert_eq!(guest.pic.acknowledge(), 0x35);
}

#[test]
fn requests_can_be_read() {
    let mut guest = Guest::initialized(1);
    guest.pic.write(Block::Slave, 1, 0xff);
    guest.rise(12);
    guest.pic.write(Block::Slave, 0, 0x0a);
    assert_eq!(guest.pic.read(Block::Slave, 0), 0x10);
    assert!(!guest.intr.is_high());
}

#[test]
fn an_interrupt_that_goes_away_is_spurious() {
    let mut guest = Guest::initialized(1);
    guest.rise(3);
    guest.pic.set_level(3, Level::Low);
    assert!(!guest.intr.is_high());
    assert_eq!(guest.pic.acknowledge(), 0x37);
    assert_eq!(guest.pic.master.in_service(), 0, "the driver tells by this");
}

#[test]
fn a_spurious_interrupt_of_the_slave_leaves_the_cascade_in_service() {
    let mut guest = Guest::initialized(1);
    guest.pic.master.set_line(CASCADE, Level::High);
    assert_eq!(guest.pic.acknowledge(), 0x3f);
    assert_eq!(guest.pic.slave.in_service(), 0);
    assert_eq!(guest.pic.master.in_service(), 1 << CASCADE);
    guest.pic.write(Block::Master, 0, SPECIFIC_EOI | CASCADE);
    assert_eq!(guest.pic.master.in_service(), 0);
}

#[test]
fn an_edge_interrupts_once_and_a_level_until_it_falls() {
    let mut guest = Guest::initialized(1);
    guest.pic.write(Block::Levels, 0, 0xff);
    guest.pic.write(Block::Levels, 1, 0xff);
    assert_eq!((guest.pic.read(Block::Levels, 0), guest.pic.read(Block::Levels, 1)), (0xf8, 0xde));
    for (irq, vector) in [(5, 0x35), (11, 0x3b)] {
        guest.pic.set_level(irq, Level::High);
        for _ in 0..3 {
            assert!(guest.intr.is_high());
            assert_eq!(guest.pic.acknowledge(), vector);
            assert!(!guest.intr.is_high());
            guest.end(vector);
        }
        guest.pic.set_level(irq, Level::Low);
        assert!(!guest.intr.is_high());
    }
    guest.rise(1);
    assert_eq!(guest.drain(), [0x31]);
}

#[test]
fn with_auto_eoi_nothing_stays_in_service() {
    let mut guest = Guest::initialized(3);
    guest.rise(4);
    guest.rise(6);
    assert_eq!((guest.pic.acknowledge(), guest.pic.acknowledge()), (0x34, 0x36));
    assert_eq!(guest.pic.master.in_service(), 0);
}

#[test]
fn rotation_makes_what_was_served_the_least_urgent() {
    let mut guest = Guest::initialized(1);
    guest.rise(3);
    guest.rise(4);
    assert_eq!(guest.pic.acknowledge(), 0x33);
    guest.rise(3);
    guest.pic.write(Block::Master, 0, 0xa0);
    assert_eq!(guest.pic.acknowledge(), 0x34);
    guest.pic.write(Block::Master, 0, 0xa0);
    assert_eq!(guest.pic.acknowledge(), 0x33);
    guest.pic.write(Block::Master, 0, EOI);
    guest.pic.write(Block::Master, 0, 0xc0 | 5);
    guest.rise(5);
    guest.rise(6);
    assert_eq!(guest.pic.acknowledge(), 0x36);
}

#[test]
fn rotation_in_auto_eoi_serves_in_turn() {
    let mut guest = Guest::initialized(3);
    guest.pic.write(Block::Master, 0, 0x80);
    guest.rise(3);
    guest.rise(4);
    assert_eq!(guest.pic.acknowledge(), 0x33);
    guest.rise(3);
    assert_eq!((guest.pic.acknowledge(), guest.pic.acknowledge()), (0x34, 0x33));
}

#[test]
fn the_special_mask_mode_lets_less_urgent_ones_in() {
    let mut guest = Guest::initialized(1);
    guest.rise(1);
    assert_eq!(guest.pic.acknowledge(), 0x31);
    guest.pic.write(Block::Master, 1, 0x02);
    guest.rise(6);
    assert!(!guest.intr.is_high());
    guest.pic.write(Block::Master, 0, 0x68);
    assert!(guest.intr.is_high());
    assert_eq!(guest.pic.acknowledge(), 0x36);
    guest.pic.write(Block::Master, 0, EOI);
    assert_eq!(guest.pic.master.in_service(), 0x02, "a masked one is not meant");
    guest.pic.write(Block::Master, 0, 0x48);
    guest.pic.write(Block::Master, 0, EOI);
    assert_eq!(guest.pic.master.in_service(), 0);
}

#[test]
fn the_special_fully_nested_mode_lets_the_slave_nest() {
    for (icw4, nests) in [(0x01, false), (0x11, true)] {
        let mut guest = Guest::initialized(icw4);
        guest.rise(12);
        assert_eq!(guest.pic.acknowledge(), 0x3c);
        guest.rise(9);
        assert_eq!(guest.intr.is_high(), nests);
        if nests {
            assert_eq!(guest.pic.acknowledge(), 0x39);
        }
    }
}

#[test]
fn a_poll_acknowledges() {
    let mut guest = Guest::initialized(1);
    guest.pic.write(Block::Master, 0, 0x0c);
    assert_eq!(guest.pic.read(Block::Master, 0), 0);
    guest.rise(5);
    guest.pic.write(Block::Master, 0, 0x0c);
    assert_eq!(guest.pic.read(Block::Master, 0), 0x85);
    assert!(!guest.intr.is_high());
    assert_eq!(guest.pic.master.in_service(), 0x20);
    assert_eq!(guest.pic.read(Block::Master, 0), 0, "requests again");
}

#[test]
fn initialization_forgets_edges_and_masks() {
    let mut guest = Guest::initialized(1);
    guest.rise(4);
    guest.pic.write(Block::Master, 0, 0x11);
    assert!(!guest.intr.is_high());
    for word in [0x50, 4, 1] {
        guest.pic.write(Block::Master, 1, word);
    }
    assert_eq!(guest.pic.read(Block::Master, 1), 0);
    assert!(!guest.intr.is_high(), "a high wire has to rise again");
    guest.rise(4);
    assert_eq!(guest.pic.acknowledge(), 0x54);
}

#[test]
fn each_two_ports_are_a_window() {
    let pair = Arc::new(Mutex::new(Pic8259::new(Arc::new(Probe::default()))));
    for (block, value) in [(Block::Master, 0x12), (Block::Slave, 0x34), (Block::Levels, 0x56)] {
        Ports::new(pair.clone(), block).write(1, Width::B1, value, Instant(0));
    }
    for (block, value) in [(Block::Master, 0x12), (Block::Slave, 0x34), (Block::Levels, 0x56)] {
        let mut ports = Ports::new(pair.clone(), block);
        assert_eq!(ports.read(1, Width::B1, Instant(0)), value);
        assert_eq!(ports.read(2, Width::B1, Instant(0)), 0xff);
    }
    Ports::new(pair.clone(), Block::Levels).reset();
    assert_eq!(pair.lock().read(Block::Levels, 1), 0);
}

proptest! {
    /// In the plain mode, what is in service was taken in the order of rising urgency, and no edge
    /// of a driven wire is lost or doubled.
    #[test]
    fn every_edge_is_taken_once_and_nesting_rises_in_urgency(
        steps in proptest::collection::vec((0..3u8, 0..16u8), 0..200),
    ) {
        let mut guest = Guest::initialized(0x11);
        let urgency = |vector: u8| match vector {
            0x30..0x32 => vector - 0x30,
            0x38..0x40 => vector - 0x38 + 2,
            _ => vector - 0x33 + 10,
        };
        let mut running: Vec<u8> = Vec::new();
        let mut waiting = std::collections::BTreeSet::new();
        for (step, irq) in steps {
            match step {
                0 => {
                    guest.rise(irq);
                    if irq != CASCADE {
                        waiting.insert(0x30 + irq);
                    }
                }
                1 if guest.intr.is_high() => {
                    let vector = guest.pic.acknowledge();
                    prop_assert!(waiting.remove(&vector));
                    prop_assert!(running.iter().all(|&other| urgency(other) > urgency(vector)));
                    running.push(vector);
                }
                _ => if let Some(vector) = running.pop() {
                    // As drivers do in this mode: the master's end only if the slave has none left.
                    if vector >= 0x38 {
                        guest.pic.write(Block::Slave, 0, SPECIFIC_EOI | (vector & 7));
                        if guest.pic.slave.in_service() == 0 {
                            guest.pic.write(Block::Master, 0, SPECIFIC_EOI | CASCADE);
                        }
                    } else {
                        guest.end(vector);
                    }
                },
            }
            let next = waiting.iter().copied().min_by_key(|&vector| urgency(vector));
            let served = running.last().copied();
            let expected = match (next, served) {
                (Some(next), Some(served)) => urgency(next) < urgency(served),
                (next, None) => next.is_some(),
                (None, Some(_)) => false,
            };
            prop_assert_eq!(guest.intr.is_high(), expected);
        }
    }
}
