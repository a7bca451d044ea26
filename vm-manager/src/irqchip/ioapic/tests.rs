//! The IOAPIC as its drivers see it.

use super::*;
use alloc::sync::Arc;
use proptest::prelude::*;
use std::sync::Mutex;

#[derive(Default)]
struct Apics {
    messages: Mutex<Vec<Message>>,
    refuses: Mutex<bool>,
}

impl ApicBus for Arc<Apics> {
    fn deliver(&self, message: Message) -> Acceptance {
        if *self.refuses.lock().unwrap() {
            return Acceptance::Refused;
        }
        self.messages.lock().unwrap().push(message);
        Acceptance::Accepted
    }
}

struct Guest {
    ioapic: IoApic<Arc<Apics>>,
    apics: Arc<Apics>,
}

const LEVEL: u64 = 1 << 15;
const MASKED: u64 = 1 << 16;

impl Guest {
    fn new() -> Self {
        let apics = Arc::new(Apics::default());
        Self { ioapic: IoApic::new(apics.clone()), apics }
    }

    fn read(&mut self, register: u64) -> u64 {
        self.ioapic.write(0, Width::B4, register, Instant(0));
        self.ioapic.read(0x10, Width::B4, Instant(0))
    }

    fn write(&mut self, register: u64, value: u64) {
        self.ioapic.write(0, Width::B4, register, Instant(0));
        self.ioapic.write(0x10, Width::B4, value, Instant(0));
    }

    /// Linux writes the high half first.
    fn route(&mut self, pin: u64, entry: u64) {
        self.write(0x11 + 2 * pin, entry >> 32);
        self.write(0x10 + 2 * pin, entry & 0xffff_ffff);
    }

    fn entry(&mut self, pin: u64) -> u64 {
        self.read(0x10 + 2 * pin) | self.read(0x11 + 2 * pin) << 32
    }

    fn taken(&self) -> Vec<u8> {
        self.apics.messages.lock().unwrap().drain(..).map(|message| message.vector).collect()
    }
}

#[test]
fn linux_finds_24_masked_entries_of_version_0x20() {
    let mut guest = Guest::new();
    assert_eq!(guest.read(1), 0x0017_0020);
    for pin in 0..24 {
        assert_eq!(guest.entry(pin), MASKED);
    }
    guest.write(0, 0x0500_0000);
    assert_eq!((guest.read(0), guest.read(2)), (0x0500_0000, 0x0500_0000));
    assert_eq!(guest.read(0x40), 0, "no such register");
}

#[test]
fn an_edge_is_sent_once() {
    let mut guest = Guest::new();
    guest.route(4, 0x0300_0000_0000_0831);
    guest.ioapic.set_level(4, Level::High);
    guest.ioapic.set_level(4, Level::High);
    let expected = Message {
        destination: Destination::Logical(3),
        delivery: Delivery::Fixed,
        vector: 0x31,
        trigger: Trigger::Edge,
    };
    assert_eq!(*guest.apics.messages.lock().unwrap(), [expected]);
    guest.ioapic.set_level(4, Level::Low);
    guest.ioapic.set_level(4, Level::High);
    assert_eq!(guest.apics.messages.lock().unwrap().len(), 2);
    assert_eq!(guest.entry(4), 0x0300_0000_0000_0831);
}

#[test]
fn an_edge_under_the_mask_is_lost() {
    let mut guest = Guest::new();
    guest.route(4, MASKED | 0x31);
    guest.ioapic.set_level(4, Level::High);
    guest.route(4, 0x31);
    assert!(guest.taken().is_empty());
}

#[test]
fn a_level_is_sent_again_at_each_end_until_it_falls() {
    let mut guest = Guest::new();
    guest.route(9, LEVEL | 0x41);
    guest.ioapic.set_level(9, Level::High);
    assert_eq!(guest.taken(), [0x41]);
    assert_eq!(guest.entry(9), LEVEL | 0x41 | 1 << 14);
    guest.ioapic.end_of_interrupt(0x42);
    assert!(guest.taken().is_empty());
    guest.ioapic.end_of_interrupt(0x41);
    assert_eq!(guest.taken(), [0x41]);
    guest.ioapic.set_level(9, Level::Low);
    guest.ioapic.set_level(9, Level::High);
    assert!(guest.taken().is_empty(), "its end has not come");
    guest.ioapic.set_level(9, Level::Low);
    guest.ioapic.end_of_interrupt(0x41);
    assert!(guest.taken().is_empty());
    assert_eq!(guest.entry(9), LEVEL | 0x41);
}

#[test]
fn a_level_waits_for_the_mask_to_go() {
    let mut guest = Guest::new();
    guest.route(9, MASKED | LEVEL | 0x41);
    guest.ioapic.set_level(9, Level::High);
    assert!(guest.taken().is_empty());
    guest.route(9, LEVEL | 0x41);
    assert_eq!(guest.taken(), [0x41]);
    guest.route(9, MASKED | LEVEL | 0x41);
    guest.ioapic.end_of_interrupt(0x41);
    assert!(guest.taken().is_empty());
}

#[test]
fn the_eoi_register_ends_an_interrupt() {
    let mut guest = Guest::new();
    guest.route(9, LEVEL | 0x41);
    guest.ioapic.set_level(9, Level::High);
    guest.ioapic.set_level(9, Level::Low);
    guest.ioapic.write(0x40, Width::B4, 0x41, Instant(0));
    assert_eq!(guest.entry(9), LEVEL | 0x41);
}

/// What Linux does where there is no EOI register.
#[test]
fn switching_to_edges_and_back_ends_an_interrupt() {
    let mut guest = Guest::new();
    guest.route(9, LEVEL | 0x41);
    guest.ioapic.set_level(9, Level::High);
    guest.ioapic.set_level(9, Level::Low);
    guest.route(9, MASKED | 0x41);
    guest.route(9, LEVEL | 0x41);
    assert_eq!(guest.entry(9), LEVEL | 0x41);
}

#[test]
fn a_level_that_nobody_accepted_is_offered_again() {
    let mut guest = Guest::new();
    *guest.apics.refuses.lock().unwrap() = true;
    guest.route(9, LEVEL | 0x41);
    guest.ioapic.set_level(9, Level::High);
    assert_eq!(guest.entry(9), LEVEL | 0x41);
    *guest.apics.refuses.lock().unwrap() = false;
    guest.route(9, LEVEL | 0x41);
    assert_eq!(guest.taken(), [0x41]);
}

#[test]
fn a_start_up_or_a_reserved_mode_sends_nothing() {
    let mut guest = Guest::new();
    for mode in [3, 6] {
        guest.route(4, mode << 8 | 0x31);
        guest.ioapic.set_level(4, Level::High);
        guest.ioapic.set_level(4, Level::Low);
    }
    assert!(guest.taken().is_empty());
}

#[test]
fn a_pin_that_does_not_exist_is_ignored() {
    let mut guest = Guest::new();
    guest.ioapic.set_level(PINS, Level::High);
    guest.ioapic.set_level(usize::MAX, Level::High);
    assert!(guest.taken().is_empty());
}

proptest! {
    #[test]
    fn a_level_is_never_sent_twice_without_an_end(
        steps in proptest::collection::vec((0..5u8, 0..24u64, any::<u64>()), 0..100),
    ) {
        let mut guest = Guest::new();
        for (step, pin, value) in steps {
            let before = guest.entry(pin);
            match step {
                0 => guest.ioapic.set_level(pin as usize, Level::High),
                1 => guest.ioapic.set_level(pin as usize, Level::Low),
                2 => guest.route(pin, value | LEVEL),
                3 => guest.route(pin, value),
                _ => guest.ioapic.end_of_interrupt(value as u8),
            }
            let is_sent = guest.apics.messages.lock().unwrap().drain(..).any(|message| {
                message.trigger == Trigger::Level && message.vector == before as u8
            });
            if step < 2 && is_sent {
                prop_assert_eq!(before >> 14 & 1, 0);
                prop_assert_eq!(guest.entry(pin) >> 14 & 1, 1);
            }
            for pin in 0..24 {
                let entry = guest.entry(pin);
                prop_assert!(entry >> 14 & 1 == 0 || entry & LEVEL != 0);
            }
        }
    }
}
