//! The timer as its drivers see it.

use super::*;
use crate::devices::wire::testing::Probe;
use hv_core::sync::Mutex;
use proptest::prelude::*;

const HERTZ: u64 = 1_193_182;
const CONTROL: u64 = 3;

struct Guest {
    pit: Pit8254,
    wire: Arc<Probe>,
    ticks: u64,
}

impl Guest {
    fn new() -> Self {
        let wire = Arc::new(Probe::default());
        Self { pit: Pit8254::new(wire.clone()), wire, ticks: 1000 }
    }

    fn now(&self) -> Instant {
        CLOCK.instant(self.ticks)
    }

    fn read(&mut self, offset: u64) -> u8 {
        let now = self.now();
        self.pit.read(offset, Width::B1, now) as u8
    }

    fn write(&mut self, offset: u64, value: u8) {
        let now = self.now();
        self.pit.write(offset, Width::B1, u64::from(value), now);
    }

    fn program(&mut self, channel: u64, control: u8, count: u16) {
        self.write(CONTROL, (channel as u8) << 6 | 0x30 | control);
        let [low, high] = count.to_le_bytes();
        self.write(channel, low);
        self.write(channel, high);
    }

    fn count(&mut self, channel: u64) -> u16 {
        self.write(CONTROL, (channel as u8) << 6);
        u16::from_le_bytes([self.read(channel), self.read(channel)])
    }

    fn port_b(&mut self) -> u8 {
        let now = self.now();
        self.pit.read_port_b(now)
    }
}

/// Linux's `pit_hpet_ptimer_calibrate_cpu` and `quick_pit_calibrate`.
#[test]
fn linux_calibrates_by_channel_2_in_mode_0() {
    let mut guest = Guest::new();
    let b = guest.port_b();
    let now = guest.now();
    guest.pit.write_port_b(b & !2 | 1, now);
    let latch = (HERTZ / 100) as u16;
    guest.program(2, 0, latch);
    let begin = guest.ticks;
    while guest.port_b() & 0x20 == 0 {
        guest.ticks += 1;
    }
    assert_eq!(guest.ticks - begin, u64::from(latch) + 1, "one tick to load it");
    guest.program(2, 0, 0xffff);
    guest.ticks += 0x102;
    guest.write(CONTROL, 0x80);
    guest.read(2);
    assert_eq!(guest.read(2), 0xfe, "the high byte falls by one each 256 ticks");
}

#[test]
fn without_its_gate_channel_2_stands_still() {
    let mut guest = Guest::new();
    guest.program(2, 0, 100);
    guest.ticks += 1000;
    assert_eq!((guest.count(2), guest.port_b() & 0x21), (100, 0));
    let now = guest.now();
    guest.pit.write_port_b(1, now);
    guest.ticks += 40;
    let now = guest.now();
    guest.pit.write_port_b(0, now);
    guest.ticks += 500;
    assert_eq!(guest.count(2), 60);
    let now = guest.now();
    guest.pit.write_port_b(1, now);
    guest.ticks += 60;
    assert_eq!(guest.port_b() & 0x21, 0x21);
}

#[test]
fn the_periodic_tick_interrupts_once_each_period() {
    let mut guest = Guest::new();
    guest.program(0, 4, 11_932);
    assert!(guest.wire.is_high(), "the output is high once mode 2 is set");
    let changes = guest.wire.changes();
    let begin = guest.ticks + 1;
    for period in 1..10 {
        let at = guest.pit.next_deadline();
        assert_eq!(at, CLOCK.instant(begin + period * 11_932));
        guest.pit.poll(Instant(at.0 - 1));
        assert_eq!(guest.wire.changes() - changes, 2 * (period as u32 - 1));
        guest.pit.poll(at);
        assert_eq!(guest.wire.changes() - changes, 2 * period as u32);
        assert!(guest.wire.is_high());
    }
}

#[test]
fn periods_that_nobody_polled_interrupt_once() {
    let mut guest = Guest::new();
    guest.program(0, 6, 100);
    let changes = guest.wire.changes();
    guest.ticks += 1_000_000;
    let now = guest.now();
    guest.pit.poll(now);
    guest.pit.poll(now);
    assert_eq!(guest.wire.changes() - changes, 2);
    assert!(guest.pit.next_deadline() > now);
}

#[test]
fn one_shot_interrupts_once_and_then_never() {
    let mut guest = Guest::new();
    guest.program(0, 0, 500);
    assert!(!guest.wire.is_high());
    let at = guest.pit.next_deadline();
    assert_eq!(at, CLOCK.instant(guest.ticks + 501));
    guest.pit.poll(at);
    assert!(guest.wire.is_high());
    assert_eq!(guest.pit.next_deadline(), Instant::NEVER);
    guest.ticks += 600;
    guest.program(0, 0, 500);
    assert!(!guest.wire.is_high());
}

/// Linux's `pit_shutdown`.
#[test]
fn a_control_word_without_a_count_stops_the_channel() {
    let mut guest = Guest::new();
    guest.program(0, 4, 1000);
    guest.write(CONTROL, 0x30);
    assert_eq!(guest.pit.next_deadline(), Instant::NEVER);
    guest.ticks += 5000;
    let now = guest.now();
    guest.pit.poll(now);
    assert!(!guest.wire.is_high());
}

#[test]
fn a_new_count_waits_for_the_end_of_the_period() {
    let mut guest = Guest::new();
    guest.program(0, 4, 1000);
    let begin = guest.ticks + 1;
    guest.ticks += 300;
    guest.write(0, 0xf4);
    guest.write(0, 0x01);
    assert_eq!(guest.count(0), 701);
    let at = guest.pit.next_deadline();
    assert_eq!(at, CLOCK.instant(begin + 1000));
    guest.pit.poll(at);
    assert_eq!(guest.pit.next_deadline(), CLOCK.instant(begin + 1500));
    guest.ticks = begin + 1000 + 100;
    assert_eq!(guest.count(0), 400);
}

#[test]
fn a_latched_count_stays_until_it_is_read() {
    let mut guest = Guest::new();
    guest.program(0, 4, 0);
    guest.ticks += 1 + 0x100;
    guest.write(CONTROL, 0);
    guest.ticks += 1000;
    guest.write(CONTROL, 0);
    assert_eq!((guest.read(0), guest.read(0)), (0x00, 0xff));
    assert_ne!((guest.read(0), guest.read(0)), (0x00, 0xff));
}

#[test]
fn the_read_back_command_latches_status_and_counts_of_several_channels() {
    let mut guest = Guest::new();
    guest.program(0, 4, 100);
    guest.program(1, 6, 200);
    guest.write(CONTROL, 0xc0 | 0x20 | 0x06);
    assert_eq!((guest.read(0), guest.read(1)), (0xf4, 0xf6), "not loaded yet");
    guest.ticks += 11;
    guest.write(CONTROL, 0xc0 | 0x06);
    guest.ticks += 50;
    assert_eq!([guest.read(0), guest.read(0), guest.read(0)], [0xb4, 90, 0]);
    assert_eq!([guest.read(1), guest.read(1), guest.read(1)], [0xb6, 180, 0]);
}

#[test]
fn counts_may_be_decimal() {
    let mut guest = Guest::new();
    guest.program(0, 1, 0x1234);
    guest.ticks += 1 + 235;
    assert_eq!(guest.count(0), 0x0999);
    guest.ticks += 1000;
    assert_eq!(guest.count(0), 0x9999);
}

#[test]
fn single_bytes_may_be_accessed() {
    let mut guest = Guest::new();
    guest.write(CONTROL, 0x14);
    guest.write(0, 200);
    guest.ticks += 1 + 20;
    assert_eq!((guest.read(0), guest.read(0)), (180, 180));
    guest.write(CONTROL, 0x24);
    guest.write(0, 2);
    guest.ticks += 2;
    assert_eq!((guest.read(0), guest.read(0)), (1, 1));
}

#[test]
fn a_gated_one_shot_begins_with_its_gate() {
    let mut guest = Guest::new();
    guest.program(2, 2, 100);
    guest.ticks += 500;
    assert_eq!(guest.port_b() & 0x20, 0x20);
    let now = guest.now();
    guest.pit.write_port_b(1, now);
    assert_eq!(guest.port_b() & 0x20, 0);
    guest.ticks += 101;
    assert_eq!(guest.port_b() & 0x20, 0x20);
}

#[test]
fn port_b_is_a_window_of_its_own() {
    let timer = Arc::new(Mutex::new(Pit8254::new(Arc::new(Probe::default()))));
    let mut port = PortB::new(timer.clone());
    port.write(0, Width::B1, 0x03, Instant(0));
    assert_eq!(port.read(0, Width::B1, Instant(0)), 0x03);
    assert_eq!(port.read(0, Width::B1, CLOCK.instant(REFRESH_TICKS)), 0x13, "RAM is refreshed");
    timer.lock().reset();
    assert_eq!(port.read(0, Width::B1, Instant(0)), 0x00);
}

proptest! {
    #[test]
    fn it_never_asks_to_be_polled_at_once_again(
        accesses in proptest::collection::vec((0..5u64, any::<Option<u8>>(), 0..100_000u64), 0..60),
    ) {
        let mut guest = Guest::new();
        for (offset, access, ticks) in accesses {
            match access {
                Some(value) => guest.write(offset, value),
                None => { guest.read(offset); }
            }
            guest.ticks += ticks;
            let now = guest.now();
            guest.pit.poll(now);
            prop_assert!(guest.pit.next_deadline() > now);
        }
    }
}
