//! The clock as its drivers see it.

use super::*;
use crate::devices::wire::testing::Probe;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
/// 2023-11-14 22:13:20, a Tuesday.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

struct Guest {
    rtc: CmosRtc,
    wire: Arc<Probe>,
    now: Instant,
}

impl Guest {
    fn new() -> Self {
        let wire = Arc::new(Probe::default());
        Self { rtc: CmosRtc::new(EPOCH, wire.clone()), wire, now: Instant(0) }
    }

    fn read(&mut self, index: u8) -> u8 {
        self.rtc.write(0, Width::B1, u64::from(index), self.now);
        self.rtc.read(1, Width::B1, self.now) as u8
    }

    fn write(&mut self, index: u8, value: u8) {
        self.rtc.write(0, Width::B1, u64::from(index), self.now);
        self.rtc.write(1, Width::B1, u64::from(value), self.now);
    }

    /// What Linux's `mc146818_get_time` reads.
    fn date(&mut self) -> [u8; 7] {
        while self.read(0x0a) & 0x80 != 0 {
            self.now.0 += 1000;
        }
        [0x32, 9, 8, 7, 4, 2, 0].map(|index| self.read(index))
    }

    /// What Linux's `mc146818_set_time` does.
    fn set_date(&mut self, date: [u8; 7]) {
        let b = self.read(0x0b);
        self.write(0x0b, b | 0x80);
        let a = self.read(0x0a);
        self.write(0x0a, a | 0x70);
        for (index, value) in [0x32, 9, 8, 7, 4, 2, 0].into_iter().zip(date) {
            self.write(index, value);
        }
        self.write(0x0b, b);
        self.write(0x0a, a);
    }
}

#[test]
fn it_shows_the_date_in_decimal_and_24_hours() {
    let mut guest = Guest::new();
    assert_eq!(guest.date(), [0x20, 0x23, 0x11, 0x14, 0x22, 0x13, 0x20]);
    assert_eq!(guest.read(6), 3, "a Tuesday");
    guest.now = Instant(3600 * 2 * SECOND);
    assert_eq!(guest.date(), [0x20, 0x23, 0x11, 0x15, 0x00, 0x13, 0x20]);
    assert_eq!((guest.read(6), guest.read(0x0d)), (4, 0x80));
}

#[test]
fn it_shows_the_date_in_binary_and_12_hours() {
    let mut guest = Guest::new();
    guest.write(0x0b, 0x04);
    assert_eq!(guest.date(), [20, 23, 11, 14, 0x80 | 10, 13, 20]);
}

#[test]
fn an_update_is_announced() {
    let mut guest = Guest::new();
    guest.now = Instant(SECOND - 244_001);
    assert_eq!(guest.read(0x0a), 0x26);
    guest.now = Instant(SECOND - 244_000);
    assert_eq!(guest.read(0x0a), 0xa6);
    guest.now = Instant(SECOND);
    assert_eq!(guest.read(0x0a), 0x26);
}

#[test]
fn linux_sets_the_date_and_the_next_second_begins_after_a_half() {
    let mut guest = Guest::new();
    guest.now = Instant(SECOND * 10 + 123_456_789);
    guest.set_date([0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x59]);
    assert_eq!(guest.date()[6], 0x59);
    guest.now.0 += SECOND / 2 - 1;
    assert_eq!(guest.rtc.clock.date(guest.now).second, 59);
    guest.now.0 += 1;
    assert_eq!(guest.date(), [0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x00]);
}

#[test]
fn while_it_is_set_it_stands_still() {
    let mut guest = Guest::new();
    guest.write(0x0b, 0x92);
    assert_eq!(guest.read(0x0b), 0x82, "no interrupt at the end of updates that are none");
    guest.now.0 += 100 * SECOND;
    assert_eq!(guest.read(0), 0x20);
    assert_eq!(guest.read(0x0c), 0x40, "ticks go on");
    guest.write(0, 0x30);
    guest.write(0x0b, 0x02);
    assert_eq!(guest.read(0), 0x30);
    guest.now.0 += SECOND;
    assert_eq!(guest.read(0), 0x31);
}

#[test]
fn the_day_of_the_week_is_the_guests() {
    let mut guest = Guest::new();
    guest.write(6, 1);
    guest.now.0 += 2 * 86_400 * SECOND;
    assert_eq!(guest.read(6), 3);
    assert_eq!(guest.read(7), 0x16);
}

#[test]
fn an_alarm_interrupts_at_its_time_of_day_once() {
    let mut guest = Guest::new();
    for (index, value) in [(5, 0x22), (3, 0x14), (1, 0x05), (0x0b, 0x22)] {
        guest.write(index, value);
    }
    let at = Instant(45 * SECOND);
    assert_eq!(guest.rtc.next_deadline(), at);
    guest.rtc.poll(Instant(at.0 - 1));
    assert!(!guest.wire.is_high());
    guest.rtc.poll(at);
    assert!(guest.wire.is_high());
    assert_eq!(guest.rtc.next_deadline(), Instant::NEVER);
    guest.now = at;
    assert_eq!(guest.read(0x0c), 0xf0, "updates and ticks have flags too");
    assert!(!guest.wire.is_high());
    assert_eq!(guest.rtc.next_deadline(), Instant(at.0 + 86_400 * SECOND));
}

/// The test of Linux's rtc driver, `RTC_UIE_ON`.
#[test]
fn updates_interrupt_each_second() {
    let mut guest = Guest::new();
    guest.write(0x0b, 0x12);
    for second in 1..5 {
        let at = guest.rtc.next_deadline();
        assert_eq!(at, Instant(second * SECOND));
        guest.now = at;
        guest.rtc.poll(at);
        assert!(guest.wire.is_high());
        assert_eq!(guest.read(0x0c), 0xd0);
    }
}

#[test]
fn periodic_ticks_interrupt_at_their_rate() {
    let mut guest = Guest::new();
    for (rate, hertz) in [(15, 2), (6, 1024), (3, 8192), (2, 128), (1, 256)] {
        guest.write(0x0a, 0x20 | rate);
        guest.write(0x0b, 0x42);
        guest.read(0x0c);
        let begin = guest.now;
        for _ in 0..hertz {
            guest.now = guest.rtc.next_deadline();
            guest.rtc.poll(guest.now);
            assert!(guest.wire.is_high());
            assert_eq!(guest.read(0x0c) & 0xc0, 0xc0);
        }
        assert_eq!(guest.now.since(begin), Duration::from_secs(1));
    }
}

#[test]
fn what_the_guest_does_not_take_note_of_is_not_told_again() {
    let mut guest = Guest::new();
    guest.write(0x0b, 0x42);
    guest.rtc.poll(Instant(SECOND));
    assert_eq!(guest.rtc.next_deadline(), Instant::NEVER);
    guest.rtc.poll(Instant(2 * SECOND));
    assert_eq!(guest.wire.changes(), 1);
}

#[test]
fn flags_are_set_also_where_they_do_not_interrupt() {
    let mut guest = Guest::new();
    guest.now = Instant(SECOND);
    assert_eq!(guest.read(0x0c), 0x50);
    assert_eq!(guest.read(0x0c), 0x00);
    assert_eq!(guest.wire.changes(), 0);
}

#[test]
fn ram_holds_what_firmware_and_guest_write() {
    let mut guest = Guest::new();
    guest.rtc.preset(0x34, 0xab);
    guest.rtc.preset(0x00, 0x59);
    guest.rtc.preset(0xff, 0x59);
    guest.write(0x0f, 0x0a);
    assert_eq!((guest.read(0x34), guest.read(0x0f), guest.read(0x00)), (0xab, 0x0a, 0x20));
    assert_eq!(guest.read(0x80 | 0x34), 0xab, "the highest bit is of the NMI");
    guest.rtc.reset();
    assert_eq!(guest.read(0x34), 0xab);
}

#[test]
fn reset_returns_to_the_machines_date() {
    let mut guest = Guest::new();
    guest.set_date([0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x59]);
    guest.write(0x0b, 0x70);
    guest.rtc.poll(Instant(10 * SECOND));
    guest.rtc.reset();
    assert!(!guest.wire.is_high());
    guest.now = Instant(60 * SECOND);
    assert_eq!(guest.date(), [0x20, 0x23, 0x11, 0x14, 0x22, 0x14, 0x20]);
}

proptest! {
    #[test]
    fn every_access_is_answered_and_the_wire_is_high_exactly_while_requested(
        accesses in proptest::collection::vec(
            (0..20u8, any::<Option<u8>>(), 0..3 * SECOND), 0..60),
    ) {
        let mut guest = Guest::new();
        for (index, access, passed) in accesses {
            match access {
                Some(value) => guest.write(index, value),
                None => { guest.read(index); }
            }
            guest.now.0 += passed;
            guest.rtc.poll(guest.now);
            prop_assert!(guest.rtc.next_deadline() > guest.now);
            let is_high = guest.wire.is_high();
            prop_assert_eq!(guest.read(0x0c) & 0x80 != 0, is_high);
        }
    }
}
