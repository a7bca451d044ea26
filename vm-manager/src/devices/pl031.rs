//! The PL031 real-time clock (Arm DDI 0224, "PrimeCell Real Time Clock (PL031) Technical Reference
//! Manual").
//!
//! It counts seconds of the time that the owner passes in, from a date given at its construction.
//! The match interrupt is evaluated when the guest looks, and at the latest when the owner calls
//! [`Pl031::poll`] at [`Pl031::next_deadline`].

use super::primecell;
use super::wire::Wire;
use alloc::sync::Arc;
use core::time::Duration;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

/// The registers (table 3-1), found by their offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Data,
    Match,
    Load,
    Control,
    InterruptMask,
    RawInterrupt,
    MaskedInterrupt,
    InterruptClear,
}

impl Register {
    const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x00 => Self::Data,
            0x04 => Self::Match,
            0x08 => Self::Load,
            0x0c => Self::Control,
            0x10 => Self::InterruptMask,
            0x14 => Self::RawInterrupt,
            0x18 => Self::MaskedInterrupt,
            0x1c => Self::InterruptClear,
            _ => return None,
        })
    }
}

/// `RTCPeriphID0` to 3.
const PERIPHERAL_ID: [u8; 4] = [0x31, 0x10, 0x04, 0x00];

/// One real-time clock.
pub struct Pl031 {
    wire: Wire,
    /// The time of day at `Instant(0)`, since 1970.
    epoch: Duration,
    /// What the guest has added to it, in seconds modulo 2^32.
    adjustment: u32,
    load: u32,
    match_value: u32,
    /// When the counter will equal `match_value`, once that has been written.
    match_at: Option<Instant>,
    raw_interrupt: u32,
    interrupt_mask: u32,
}

impl Pl031 {
    /// A clock that shows `epoch` since 1970 at `Instant(0)`, and interrupts by `line`.
    pub fn new(epoch: Duration, line: Arc<dyn IrqLine>) -> Self {
        Self {
            wire: Wire::new(line),
            epoch,
            adjustment: 0,
            load: 0,
            match_value: 0,
            match_at: None,
            raw_interrupt: 0,
            interrupt_mask: 0,
        }
    }

    /// When the clock wants to be polled to interrupt in time; `Instant::NEVER` if it need not.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        match self.match_at {
            Some(at) if self.interrupt_mask != 0 => at,
            Some(_) | None => Instant::NEVER,
        }
    }

    /// Raises the match interrupt if it is due.
    pub fn poll(&mut self, now: Instant) {
        if self.match_at.is_some_and(|at| at <= now) {
            self.match_at = None;
            self.raw_interrupt = 1;
            self.update_wire();
        }
    }

    fn time_of_day(&self, now: Instant) -> Duration {
        self.epoch.saturating_add(Duration::from_nanos(now.0))
    }

    /// `RTCDR`, which wraps in 2106.
    fn seconds(&self, now: Instant) -> u32 {
        (self.time_of_day(now).as_secs() as u32).wrapping_add(self.adjustment)
    }

    fn set(&mut self, seconds: u32, now: Instant) {
        self.load = seconds;
        self.adjustment = 0;
        self.adjustment = seconds.wrapping_sub(self.seconds(now));
        self.arm(now);
    }

    /// Finds out when the counter will equal the match register.
    fn arm(&mut self, now: Instant) {
        let ahead = self.match_value.wrapping_sub(self.seconds(now));
        let into_second = Duration::from_nanos(u64::from(self.time_of_day(now).subsec_nanos()));
        let wait = Duration::from_secs(u64::from(ahead)).saturating_sub(into_second);
        self.match_at = Some(now + wait);
        self.poll(now);
    }

    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.raw_interrupt & self.interrupt_mask != 0));
    }

    fn read_register(&mut self, offset: u64, now: Instant) -> u32 {
        let Some(register) = Register::at(offset) else {
            return primecell::identification(offset, PERIPHERAL_ID).unwrap_or(0);
        };
        match register {
            Register::Data => self.seconds(now),
            Register::Match => self.match_value,
            Register::Load => self.load,
            // The clock cannot be stopped once it runs (3.3.4), and it runs from the beginning.
            Register::Control => 1,
            Register::InterruptMask => self.interrupt_mask,
            Register::RawInterrupt => self.raw_interrupt,
            Register::MaskedInterrupt => self.raw_interrupt & self.interrupt_mask,
            Register::InterruptClear => 0,
        }
    }

    fn write_register(&mut self, offset: u64, value: u32, now: Instant) {
        let Some(register) = Register::at(offset) else { return };
        match register {
            Register::Match => {
                self.match_value = value;
                self.arm(now);
            }
            Register::Load => self.set(value, now),
            Register::InterruptMask => {
                self.interrupt_mask = value & 1;
                self.update_wire();
            }
            Register::InterruptClear => {
                self.raw_interrupt &= !value;
                self.update_wire();
            }
            Register::Data
            | Register::Control
            | Register::RawInterrupt
            | Register::MaskedInterrupt => {}
        }
    }
}

impl Device for Pl031 {
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        self.poll(now);
        primecell::read(offset, width, |register| self.read_register(register, now))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        self.poll(now);
        primecell::write(offset, width, value, |register, value| {
            self.write_register(register, value, now);
        });
    }

    fn reset(&mut self) {
        self.wire.drive(Level::Low);
        self.adjustment = 0;
        self.load = 0;
        self.match_value = 0;
        self.match_at = None;
        self.raw_interrupt = 0;
        self.interrupt_mask = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::wire::testing::Probe;
    use proptest::prelude::*;

    const DR: u64 = 0x00;
    const MR: u64 = 0x04;
    const LR: u64 = 0x08;
    const IMSC: u64 = 0x10;
    const RIS: u64 = 0x14;
    const ICR: u64 = 0x1c;
    const SECOND: u64 = 1_000_000_000;

    fn clock(epoch_seconds: u64) -> (Pl031, Arc<Probe>) {
        let wire = Arc::new(Probe::default());
        (Pl031::new(Duration::from_secs(epoch_seconds), wire.clone()), wire)
    }

    fn read(clock: &mut Pl031, offset: u64, now: u64) -> u64 {
        clock.read(offset, Width::B4, Instant(now))
    }

    fn write(clock: &mut Pl031, offset: u64, value: u64, now: u64) {
        clock.write(offset, Width::B4, value, Instant(now));
    }

    #[test]
    fn it_counts_seconds_from_its_epoch() {
        let (mut rtc, _) = clock(1_700_000_000);
        assert_eq!(read(&mut rtc, DR, 0), 1_700_000_000);
        assert_eq!(read(&mut rtc, DR, 2 * SECOND - 1), 1_700_000_001);
        assert_eq!(read(&mut rtc, 0x0c, 0), 1);
    }

    #[test]
    fn linux_finds_a_pl031() {
        let (mut rtc, _) = clock(0);
        let id = (0..4).fold(0, |id, byte| id | read(&mut rtc, 0xfe0 + 4 * byte, 0) << (8 * byte));
        // Linux matches 0x00041031 under the mask 0x000fffff.
        assert_eq!(id, 0x0004_1031);
    }

    #[test]
    fn the_guest_may_set_it_and_it_goes_on_from_there() {
        let (mut rtc, _) = clock(1_700_000_000);
        write(&mut rtc, LR, 5, 10 * SECOND);
        assert_eq!(read(&mut rtc, DR, 12 * SECOND), 7);
        rtc.reset();
        assert_eq!(read(&mut rtc, DR, 12 * SECOND), 1_700_000_012);
    }

    #[test]
    fn an_alarm_interrupts_at_the_second_that_was_asked_for() {
        let (mut rtc, wire) = clock(100);
        let now = SECOND / 2;
        write(&mut rtc, MR, 103, now);
        assert_eq!(rtc.next_deadline(), Instant::NEVER, "nobody would notice");
        write(&mut rtc, IMSC, 1, now);
        assert_eq!(rtc.next_deadline(), Instant(3 * SECOND));
        rtc.poll(Instant(3 * SECOND - 1));
        assert!(!wire.is_high());
        rtc.poll(Instant(3 * SECOND));
        assert!(wire.is_high());
        assert_eq!(read(&mut rtc, RIS, 3 * SECOND), 1);
        write(&mut rtc, ICR, 1, 3 * SECOND);
        assert!(!wire.is_high());
        assert_eq!(rtc.next_deadline(), Instant::NEVER);
    }

    #[test]
    fn an_alarm_for_this_second_interrupts_at_once() {
        let (mut rtc, wire) = clock(100);
        write(&mut rtc, IMSC, 1, 0);
        write(&mut rtc, MR, 100, SECOND / 3);
        assert!(wire.is_high());
    }

    proptest! {
        #[test]
        fn every_access_is_answered(
            epoch: u64,
            accesses in proptest::collection::vec(
                (0..0x1100u64, any::<Option<u64>>(), any::<u64>()), 0..50),
        ) {
            let (mut rtc, wire) = clock(epoch);
            for (offset, access, now) in accesses {
                match access {
                    Some(value) => rtc.write(offset, Width::B8, value, Instant(now)),
                    None => { rtc.read(offset, Width::B8, Instant(now)); }
                }
                let masked = read(&mut rtc, 0x18, now) != 0;
                prop_assert_eq!(masked, wire.is_high());
            }
        }

        #[test]
        fn the_deadline_is_when_the_counter_gets_to_the_match(
            epoch in 0..5_000_000_000u64, now in 0..1_000_000_000_000_000u64, ahead in 1..1000u32,
        ) {
            let (mut rtc, _) = clock(epoch);
            write(&mut rtc, IMSC, 1, 0);
            let target = rtc.seconds(Instant(now)).wrapping_add(ahead);
            write(&mut rtc, MR, u64::from(target), now);
            let at = rtc.next_deadline();
            prop_assert_eq!(rtc.seconds(at), target);
            prop_assert_eq!(rtc.seconds(Instant(at.0 - 1)), target.wrapping_sub(1));
        }
    }
}
