//! The UART as its drivers see it.

use super::*;
use crate::devices::wire::testing::Probe;
use proptest::prelude::*;
use std::sync::Mutex;

const DATA: u64 = 0;
const IER: u64 = 1;
const IIR: u64 = 2;
const FCR: u64 = 2;
const LCR: u64 = 3;
const MCR: u64 = 4;
const LSR: u64 = 5;
const MSR: u64 = 6;
const SCR: u64 = 7;
const NOW: Instant = Instant(0);

#[derive(Default)]
struct Sink(Mutex<Vec<u8>>);

impl SerialOut for Sink {
    fn put(&self, byte: u8) {
        self.0.lock().unwrap().push(byte);
    }
}

struct Guest {
    uart: Uart16550<Arc<Sink>>,
    sink: Arc<Sink>,
    wire: Arc<Probe>,
}

impl Guest {
    fn new() -> Self {
        let (sink, wire) = (Arc::new(Sink::default()), Arc::new(Probe::default()));
        Self { uart: Uart16550::new(sink.clone(), wire.clone()), sink, wire }
    }

    fn read(&mut self, offset: u64) -> u64 {
        self.uart.read(offset, Width::B1, NOW)
    }

    fn write(&mut self, offset: u64, value: u64) {
        self.uart.write(offset, Width::B1, value, NOW);
    }

    /// What Linux's 8250 driver does when its tty is opened.
    fn open_as_linux(&mut self) {
        self.write(FCR, 0x01);
        self.write(FCR, 0x07);
        self.write(FCR, 0x00);
        for status in [LSR, DATA, IIR, MSR] {
            self.read(status);
        }
        self.write(LCR, 0x03);
        self.write(MCR, 0x08);
        self.write(IER, 0x05);
        self.write(LCR, 0x93);
        self.write(DATA, 1);
        self.write(IER, 0);
        self.write(LCR, 0x13);
        self.write(FCR, 0x81);
        self.write(MCR, 0x0b);
    }

    /// Its interrupt handler; gives back what it received.
    fn interrupt_as_linux(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        while self.read(IIR) & 1 == 0 {
            let mut status = self.read(LSR);
            while status & 1 != 0 {
                received.push(self.read(DATA) as u8);
                status = self.read(LSR);
            }
            self.read(MSR);
        }
        received
    }
}

/// The steps of Linux's `autoconfig`.
#[test]
fn linux_finds_a_16550a() {
    let mut guest = Guest::new();
    guest.write(IER, 0);
    assert_eq!(guest.read(IER) & 0xf, 0);
    guest.write(IER, 0xf);
    assert_eq!(guest.read(IER), 0xf, "no bit above, as a later chip would have");
    guest.write(IER, 0);
    guest.write(MCR, 0x10 | 0x0a);
    assert_eq!(guest.read(MSR) & 0xf0, 0x90);
    guest.write(MCR, 0);
    guest.write(LCR, 0);
    guest.write(FCR, 1);
    assert_eq!(guest.read(IIR) >> 6, 3);
    guest.write(LCR, 0x80);
    assert_ne!(guest.read(2), 0, "no EFR, as a 16650 would have");
    guest.write(LCR, 0);
    guest.write(SCR, 0x5a);
    assert_eq!(guest.read(SCR), 0x5a);
}

#[test]
fn a_character_is_sent_at_once_and_the_transmitter_stays_empty() {
    let mut guest = Guest::new();
    for byte in *b"ok" {
        assert_eq!(guest.read(LSR), 0x60);
        guest.write(DATA, u64::from(byte));
    }
    assert_eq!(*guest.sink.0.lock().unwrap(), b"ok");
    assert_eq!(guest.wire.changes(), 0, "no interrupt is enabled");
}

#[test]
fn the_divisor_hides_data_and_interrupt_enable() {
    let mut guest = Guest::new();
    guest.write(IER, 1);
    guest.write(LCR, 0x83);
    guest.write(DATA, 0x34);
    guest.write(IER, 0x12);
    assert_eq!((guest.read(DATA), guest.read(IER)), (0x34, 0x12));
    guest.write(LCR, 0x03);
    assert_eq!(guest.read(IER), 1);
    assert!(guest.sink.0.lock().unwrap().is_empty());
}

#[test]
fn enabling_the_transmit_interrupt_raises_it_until_it_is_identified() {
    let mut guest = Guest::new();
    for _ in 0..2 {
        guest.write(IER, 0x02);
        assert!(guest.wire.is_high());
        assert_eq!(guest.read(IIR), 0x02);
        assert!(!guest.wire.is_high());
        assert_eq!(guest.read(IIR), 0x01);
        guest.write(IER, 0x00);
    }
    guest.write(IER, 0x02);
    guest.read(IIR);
    guest.write(DATA, 1);
    assert!(guest.wire.is_high(), "each character empties the transmitter anew");
}

#[test]
fn linux_receives_every_character_in_order() {
    let mut guest = Guest::new();
    guest.open_as_linux();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for round in 0..50_u8 {
        for byte in 0..round % 17 {
            assert!(guest.uart.has_room());
            assert_eq!(guest.uart.receive(byte), Received::Stored);
            sent.push(byte);
        }
        if round % 17 != 0 {
            assert!(guest.wire.is_high());
        }
        received.extend(guest.interrupt_as_linux());
        assert!(!guest.wire.is_high());
    }
    assert_eq!(received, sent);
}

#[test]
fn identification_tells_a_full_trigger_from_a_timeout() {
    let mut guest = Guest::new();
    guest.write(FCR, 0x81);
    guest.write(IER, 0x01);
    for _ in 0..7 {
        guest.uart.receive(1);
        assert_eq!(guest.read(IIR), 0xcc);
    }
    guest.uart.receive(1);
    assert_eq!(guest.read(IIR), 0xc4);
    guest.read(DATA);
    assert_eq!(guest.read(IIR), 0xcc);
}

#[test]
fn the_most_urgent_cause_is_identified_first() {
    let mut guest = Guest::new();
    guest.write(IER, 0x0f);
    guest.uart.receive(b'a');
    guest.uart.receive(b'b');
    guest.write(MCR, 0x10);
    guest.write(MCR, 0x00);
    assert_eq!(guest.read(IIR), 0x06);
    assert_eq!(guest.read(LSR), 0x63, "overrun, data ready");
    assert_eq!(guest.read(LSR), 0x61, "told once");
    assert_eq!(guest.read(IIR), 0x04);
    assert_eq!(guest.read(DATA), u64::from(b'a'));
    assert_eq!(guest.read(IIR), 0x02);
    assert_eq!(guest.read(IIR), 0x00);
    assert_eq!(guest.read(MSR), 0xbb);
    assert_eq!(guest.read(IIR), 0x01);
}

#[test]
fn without_fifo_one_character_is_held() {
    let mut guest = Guest::new();
    assert!(guest.uart.has_room());
    guest.uart.receive(b'a');
    assert!(!guest.uart.has_room());
    guest.write(FCR, 1);
    assert!(guest.uart.has_room(), "switching empties it");
}

#[test]
fn clearing_the_fifo_withdraws_its_interrupt() {
    let mut guest = Guest::new();
    guest.open_as_linux();
    guest.write(IER, 0x01);
    guest.uart.receive(1);
    assert!(guest.wire.is_high());
    guest.write(FCR, 0x83);
    assert!(!guest.wire.is_high());
    assert_eq!(guest.read(LSR), 0x60);
}

#[test]
fn loopback_receives_what_is_sent_and_nothing_from_outside() {
    let mut guest = Guest::new();
    guest.write(MCR, 0x1f);
    assert!(!guest.uart.has_room());
    assert_eq!(guest.uart.receive(b'x'), Received::Lost);
    guest.write(DATA, 0xae);
    assert_eq!(guest.read(LSR) & 1, 1);
    assert_eq!(guest.read(DATA), 0xae);
    assert!(guest.sink.0.lock().unwrap().is_empty());
    assert_eq!(guest.read(MSR) & 0xf0, 0xf0);
}

#[test]
fn the_end_of_a_ring_is_a_change_and_its_begin_is_none() {
    let mut guest = Guest::new();
    guest.write(MCR, 0x1b);
    guest.read(MSR);
    guest.write(MCR, 0x1f);
    assert_eq!(guest.read(MSR), 0xf0);
    guest.write(MCR, 0x1b);
    assert_eq!(guest.read(MSR), 0xb4);
}

#[test]
fn reset_is_as_power_on() {
    let mut guest = Guest::new();
    guest.open_as_linux();
    guest.write(IER, 0x0f);
    guest.uart.receive(1);
    guest.uart.reset();
    assert!(!guest.wire.is_high());
    assert_eq!((guest.read(IER), guest.read(IIR), guest.read(LSR)), (0, 1, 0x60));
}

proptest! {
    #[test]
    fn the_wire_is_high_exactly_while_a_cause_is_identified(
        accesses in proptest::collection::vec((0..9u64, any::<Option<u8>>(), any::<bool>()), 0..60),
    ) {
        let mut guest = Guest::new();
        for (offset, access, arrives) in accesses {
            if arrives {
                let room = guest.uart.has_room();
                prop_assert_eq!(guest.uart.receive(1) == Received::Stored, room);
            }
            match access {
                Some(value) => guest.write(offset, u64::from(value)),
                None => { guest.read(offset); }
            }
            let is_high = guest.wire.is_high();
            prop_assert_eq!(guest.read(IIR) & 1 == 0, is_high);
        }
    }
}
