//! The UART as its drivers see it.

use super::*;
use crate::devices::wire::testing::Probe;
use proptest::prelude::*;
use std::sync::Mutex;

const DR: u64 = 0x000;
const FR: u64 = 0x018;
const LCR_H: u64 = 0x02c;
const CR: u64 = 0x030;
const IFLS: u64 = 0x034;
const IMSC: u64 = 0x038;
const RIS: u64 = 0x03c;
const MIS: u64 = 0x040;
const ICR: u64 = 0x044;
const NOW: Instant = Instant(0);

#[derive(Default)]
struct Sink(Mutex<Vec<u8>>);

impl SerialOut for Sink {
    fn put(&self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

struct Guest {
    uart: Pl011<Arc<Sink>>,
    sink: Arc<Sink>,
    wire: Arc<Probe>,
}

impl Guest {
    fn new() -> Self {
        let (sink, wire) = (Arc::new(Sink::default()), Arc::new(Probe::default()));
        Self { uart: Pl011::new(sink.clone(), wire.clone()), sink, wire }
    }

    fn read(&mut self, offset: u64) -> u64 {
        self.uart.read(offset, Width::B4, NOW)
    }

    fn write(&mut self, offset: u64, value: u64) {
        self.uart.write(offset, Width::B4, value, NOW);
    }

    /// What Linux's amba-pl011 does when its tty is opened.
    fn open_as_linux(&mut self) {
        self.write(CR, 0);
        self.write(ICR, 0x7ff);
        self.write(IFLS, 0x12);
        self.write(LCR_H, 0x70);
        self.write(CR, 0x301);
        self.write(ICR, 0x50);
        while self.read(FR) & 0x10 == 0 {
            self.read(DR);
        }
        self.write(IMSC, 0x50);
    }

    /// Its interrupt handler; gives back what it received.
    fn interrupt_as_linux(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        for _ in 0..256 {
            let status = self.read(RIS) & self.read(IMSC);
            if status == 0 {
                break;
            }
            self.write(ICR, status & !0x70);
            if status & 0x50 != 0 {
                while self.read(FR) & 0x10 == 0 {
                    received.push(self.read(DR) as u8);
                }
            }
            if status & 0x20 != 0 {
                self.write(ICR, 0x20);
            }
        }
        received
    }
}

#[test]
fn linux_finds_a_pl011_by_arm_with_16_entries() {
    let mut guest = Guest::new();
    let id = |guest: &mut Guest, base: u64| {
        (0..4).fold(0, |id, byte| id | guest.read(base + 4 * byte) << (8 * byte))
    };
    // Linux matches 0x00041011 under the mask 0x000fffff; a revision under 3 has 16 entries.
    assert_eq!(id(&mut guest, 0xfe0), 0x0014_1011);
    assert_eq!(id(&mut guest, 0xff0), 0xb105_f00d);
}

#[test]
fn a_character_is_sent_at_any_width_even_before_the_uart_is_enabled() {
    let mut guest = Guest::new();
    for width in [Width::B1, Width::B2, Width::B4, Width::B8] {
        guest.uart.write(DR, width, u64::from(b'x'), NOW);
    }
    assert_eq!(*guest.sink.0.lock().unwrap(), b"xxxx");
    assert_eq!(guest.read(FR) & 0xa8, 0x80, "empty, not full, not busy");
}

#[test]
fn each_character_sent_raises_the_transmit_interrupt_until_it_is_cleared() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(RIS), 0);
    guest.write(IMSC, 0x20);
    assert!(!guest.wire.is_high());
    guest.write(DR, 1);
    assert!(guest.wire.is_high());
    guest.write(ICR, 0x20);
    assert!(!guest.wire.is_high());
    guest.write(DR, 2);
    assert_eq!(guest.read(MIS), 0x20);
}

#[test]
fn sending_with_interrupts_masked_never_touches_the_wire() {
    let mut guest = Guest::new();
    for _ in 0..1000 {
        guest.write(DR, 1);
    }
    assert_eq!(guest.wire.changes(), 0);
}

#[test]
fn linux_receives_every_character_in_order() {
    let mut guest = Guest::new();
    guest.open_as_linux();
    let mut received = Vec::new();
    let typed: Vec<u8> = (0..100).collect();
    let mut left = typed.iter();
    while received.len() < typed.len() {
        while guest.uart.has_room() {
            let Some(&byte) = left.next() else { break };
            assert_eq!(guest.uart.receive(byte), Received::Stored);
        }
        assert!(guest.wire.is_high());
        received.extend(guest.interrupt_as_linux());
        assert!(!guest.wire.is_high());
    }
    assert_eq!(received, typed);
}

#[test]
fn a_driver_that_clears_before_it_reads_one_character_at_a_time_gets_all() {
    let mut guest = Guest::new();
    guest.write(LCR_H, 0x10);
    guest.write(IMSC, 0x50);
    for byte in *b"abc" {
        guest.uart.receive(byte);
    }
    let mut received = Vec::new();
    while guest.wire.is_high() {
        guest.write(ICR, 0x7ff);
        received.push(guest.read(DR) as u8);
    }
    assert_eq!(received, b"abc");
}

#[test]
fn the_receive_interrupt_follows_its_trigger_level() {
    for (select, trigger) in [(0, 2), (1, 4), (2, 8), (3, 12), (4, 14)] {
        let mut guest = Guest::new();
        guest.write(LCR_H, 0x10);
        guest.write(IFLS, select << 3);
        for count in 1..=16 {
            guest.uart.receive(0);
            assert_eq!(guest.read(RIS) & 0x10 != 0, count >= trigger);
        }
        for left in (0..16).rev() {
            guest.read(DR);
            assert_eq!(guest.read(RIS) & 0x10 != 0, left >= trigger);
        }
    }
}

#[test]
fn without_fifos_there_is_room_for_one() {
    let mut guest = Guest::new();
    assert!(guest.uart.has_room());
    guest.uart.receive(b'a');
    assert!(!guest.uart.has_room());
    assert_eq!(guest.read(FR) & 0x50, 0x40, "full");
    assert_eq!(guest.read(DR), u64::from(b'a'));
    assert_eq!(guest.read(FR) & 0x50, 0x10, "empty");
}

#[test]
fn an_overrun_is_reported_and_loses_only_the_newest() {
    let mut guest = Guest::new();
    guest.uart.receive(b'a');
    assert_eq!(guest.uart.receive(b'b'), Received::Lost);
    assert_eq!(guest.read(RIS) & 0x400, 0x400);
    assert_eq!(guest.read(0x004), 8);
    assert_eq!(guest.read(DR), 0x800 | u64::from(b'a'));
    guest.write(0x004, 0);
    assert_eq!(guest.read(0x004), 0);
    guest.uart.receive(b'c');
    assert_eq!(guest.read(DR), u64::from(b'c'));
}

#[test]
fn a_receiver_that_is_off_has_no_room() {
    let mut guest = Guest::new();
    guest.write(CR, 0x101);
    assert!(!guest.uart.has_room());
    assert_eq!(guest.uart.receive(b'a'), Received::Lost);
    assert_eq!(guest.read(FR) & 0x10, 0x10);
}

#[test]
fn loopback_returns_what_is_sent() {
    let mut guest = Guest::new();
    guest.write(CR, 0x381);
    guest.write(DR, u64::from(b'l'));
    assert_eq!(guest.read(DR), u64::from(b'l'));
    assert!(guest.sink.0.lock().unwrap().is_empty());
}

#[test]
fn reset_lowers_the_wire_and_forgets() {
    let mut guest = Guest::new();
    guest.open_as_linux();
    guest.uart.receive(b'a');
    assert!(guest.wire.is_high());
    guest.uart.reset();
    assert!(!guest.wire.is_high());
    assert_eq!((guest.read(CR), guest.read(IFLS), guest.read(IMSC)), (0x300, 0x12, 0));
    assert_eq!(guest.read(FR), 0x97);
}

proptest! {
    #[test]
    fn every_access_is_answered_and_the_wire_is_the_masked_interrupts(
        accesses in proptest::collection::vec((0..0x1100u64, 0..4usize, any::<Option<u64>>()), 0..200),
    ) {
        let widths = [Width::B1, Width::B2, Width::B4, Width::B8];
        let mut guest = Guest::new();
        for (offset, width, write) in accesses {
            match write {
                Some(value) => guest.uart.write(offset, widths[width], value, NOW),
                None => {
                    let value = guest.uart.read(offset, widths[width], NOW);
                    prop_assert_eq!(value & !widths[width].ones(), 0);
                }
            }
            if guest.uart.has_room() {
                guest.uart.receive(1);
            }
            prop_assert_eq!(guest.read(MIS) != 0, guest.wire.is_high());
        }
    }
}
