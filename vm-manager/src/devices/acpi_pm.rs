//! The fixed hardware of ACPI power management (ACPI 6.5, 4.8.3): the PM1 event and control registers
//! with the power button, and the PM timer. There is no GPE block, and no legacy mode to leave: the FADT
//! shall say `SMI_CMD` 0, `PM1_EVT_LEN` 4, `PM1_CNT_LEN` 2, `PM_TMR_LEN` 4 and `TMR_VAL_EXT`.
//!
//! ```text
//!  +0  PM1_STS   +2  PM1_EN   +4  PM1_CNT   +8  PM_TMR
//! ```

use super::frequency::Frequency;
use super::power::{PowerControl, PowerRequest};
use super::wire::Wire;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

/// Bytes of the window.
pub const WINDOW_BYTES: u64 = 12;
/// From the window's base to `PM1a_CNT_BLK`, in bytes.
pub const CONTROL_OFFSET: u64 = 4;
/// From the window's base to `PM_TMR_BLK`, in bytes.
pub const TIMER_OFFSET: u64 = 8;
/// The value of `SLP_TYPx` that switches the machine off: what `\_S5` in the DSDT shall say.
pub const SLEEP_TYPE_S5: u8 = 5;

/// 4.8.2.1: three times that of a television's colour carrier.
const TIMER: Frequency = Frequency::from_hertz(3_579_545);
/// The timer's status is set at each change of its highest bit.
const HALF_PERIOD: u64 = 1 << 31;

/// Bits of `PM1_STS` and `PM1_EN` (tables 4.15 and 4.16).
mod event {
    pub(super) const TIMER: u16 = 1 << 0;
    pub(super) const GLOBAL: u16 = 1 << 5;
    pub(super) const POWER_BUTTON: u16 = 1 << 8;
    pub(super) const REAL_TIME_CLOCK: u16 = 1 << 10;
    pub(super) const ENABLES: u16 = TIMER | GLOBAL | POWER_BUTTON | REAL_TIME_CLOCK;
}

/// Bits of `PM1_CNT` (table 4.17).
mod control {
    /// Set for good: there is no other mode.
    pub(super) const SCI_ENABLE: u16 = 1 << 0;
    pub(super) const BUS_MASTER_RELOAD: u16 = 1 << 1;
    pub(super) const SLEEP_TYPE_SHIFT: u16 = 10;
    pub(super) const SLEEP_TYPE: u16 = 7 << SLEEP_TYPE_SHIFT;
    /// Reads as zero.
    pub(super) const SLEEP_ENABLE: u16 = 1 << 13;
}

/// The PM1 and timer blocks.
pub struct AcpiPm<P> {
    power: P,
    wire: Wire,
    status: u16,
    enable: u16,
    control: u16,
    /// How many half periods of the timer have been accounted for in `status`.
    half_periods: u64,
}

impl<P: PowerControl> AcpiPm<P> {
    /// The blocks after reset, which switch the machine off by `power`, and interrupt by `sci`, a
    /// level-triggered wire.
    pub fn new(power: P, sci: Arc<dyn IrqLine>) -> Self {
        Self {
            power,
            wire: Wire::new(sci),
            status: 0,
            enable: 0,
            control: control::SCI_ENABLE,
            half_periods: 0,
        }
    }

    /// Presses and lets go of the power button: asks the guest to switch itself off.
    pub fn press_power_button(&mut self) {
        self.status |= event::POWER_BUTTON;
        self.update_wire();
    }

    /// When the timer wants to be polled to interrupt in time; `Instant::NEVER` if it need not.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        if self.enable & !self.status & event::TIMER == 0 {
            return Instant::NEVER;
        }
        TIMER.instant(self.half_periods.saturating_add(1).saturating_mul(HALF_PERIOD))
    }

    /// Raises the timer's interrupt if it is due.
    pub fn poll(&mut self, now: Instant) {
        let half_periods = TIMER.ticks(now) / HALF_PERIOD;
        if half_periods > self.half_periods {
            self.half_periods = half_periods;
            self.status |= event::TIMER;
            self.update_wire();
        }
    }

    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.status & self.enable != 0));
    }

    fn read_register(&self, offset: u64, now: Instant) -> u32 {
        match offset {
            0 => u32::from(self.status) | u32::from(self.enable) << 16,
            CONTROL_OFFSET => u32::from(self.control),
            TIMER_OFFSET => TIMER.ticks(now) as u32,
            _ => 0,
        }
    }

    /// Writes those bits of a register of 16 bits that `mask` has.
    fn write_register(&mut self, offset: u64, value: u16, mask: u16) {
        match offset {
            // A one clears.
            0 => self.status &= !(value & mask),
            2 => self.enable = (self.enable & !mask | value & mask) & event::ENABLES,
            CONTROL_OFFSET => self.set_control(self.control & !mask | value & mask),
            _ => {}
        }
        self.update_wire();
    }

    fn set_control(&mut self, value: u16) {
        let kept = control::BUS_MASTER_RELOAD | control::SLEEP_TYPE;
        self.control = value & kept | control::SCI_ENABLE;
        let sleep_type = (value & control::SLEEP_TYPE) >> control::SLEEP_TYPE_SHIFT;
        if value & control::SLEEP_ENABLE != 0 && sleep_type == u16::from(SLEEP_TYPE_S5) {
            self.power.request(PowerRequest::Off);
        }
    }
}

impl<P: PowerControl> Device for AcpiPm<P> {
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        self.poll(now);
        let aligned = offset & !3;
        let word = |at| u64::from(self.read_register(at, now));
        let value = word(aligned) | word(aligned.wrapping_add(4)) << 32;
        (value >> (8 * (offset & 3))) & width.ones()
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        self.poll(now);
        let end = offset.saturating_add(width.bytes()).min(WINDOW_BYTES);
        let mut at = offset;
        while at < end {
            let lane = at & 1;
            let bytes = (2 - lane).min(end - at);
            let mask = (u16::MAX >> (16 - 8 * bytes)) << (8 * lane);
            let part = (value >> (8 * (at - offset))) as u16;
            self.write_register(at - lane, part << (8 * lane), mask);
            at += bytes;
        }
    }

    fn reset(&mut self) {
        self.wire.drive(Level::Low);
        self.status = 0;
        self.enable = 0;
        self.control = control::SCI_ENABLE;
        // The guest's time begins anew.
        self.half_periods = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::power::testing::Requests;
    use crate::devices::wire::testing::Probe;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    struct Guest {
        pm: AcpiPm<Arc<Requests>>,
        requests: Arc<Requests>,
        sci: Arc<Probe>,
        now: Instant,
    }

    impl Guest {
        fn new() -> Self {
            let (requests, sci) = (Arc::new(Requests::default()), Arc::new(Probe::default()));
            let pm = AcpiPm::new(requests.clone(), sci.clone());
            Self { pm, requests, sci, now: Instant(0) }
        }

        fn read(&mut self, offset: u64, width: Width) -> u64 {
            self.pm.read(offset, width, self.now)
        }

        fn write(&mut self, offset: u64, width: Width, value: u64) {
            self.pm.write(offset, width, value, self.now);
        }
    }

    #[test]
    fn acpi_is_on_from_the_start() {
        let mut guest = Guest::new();
        assert_eq!(guest.read(4, Width::B2), 1);
        guest.write(4, Width::B2, 0);
        assert_eq!(guest.read(4, Width::B2), 1);
    }

    #[test]
    fn the_power_button_interrupts_once_enabled_until_its_status_is_cleared() {
        let mut guest = Guest::new();
        guest.pm.press_power_button();
        assert!(!guest.sci.is_high());
        guest.write(2, Width::B2, 0x0120);
        assert!(guest.sci.is_high());
        assert_eq!(guest.read(0, Width::B2), 0x0100);
        guest.write(0, Width::B2, 0x0100);
        assert!(!guest.sci.is_high());
        assert_eq!(guest.read(2, Width::B2), 0x0120);
    }

    #[test]
    fn linux_switches_off_by_writing_the_sleep_type_and_then_enabling_it() {
        let mut guest = Guest::new();
        let control = guest.read(4, Width::B2) | u64::from(SLEEP_TYPE_S5) << 10;
        guest.write(4, Width::B2, control);
        assert_eq!(guest.requests.take(), []);
        guest.write(4, Width::B2, control | 1 << 13);
        assert_eq!(guest.requests.take(), [PowerRequest::Off]);
        assert_eq!(guest.read(4, Width::B2), control, "SLP_EN reads as zero");
    }

    #[test]
    fn another_sleep_type_does_nothing() {
        let mut guest = Guest::new();
        for sleep_type in (0..8).filter(|&sleep_type| sleep_type != u64::from(SLEEP_TYPE_S5)) {
            guest.write(4, Width::B2, sleep_type << 10 | 1 << 13);
        }
        assert_eq!(guest.requests.take(), []);
    }

    #[test]
    fn bytes_are_written_to_their_lane() {
        let mut guest = Guest::new();
        guest.pm.press_power_button();
        guest.write(3, Width::B1, 0x01);
        assert!(guest.sci.is_high());
        guest.write(0, Width::B1, 0xff);
        assert!(guest.sci.is_high(), "the low byte of the status has no power button");
        guest.write(1, Width::B1, 0x01);
        assert!(!guest.sci.is_high());
        guest.write(5, Width::B1, 0x34);
        assert_eq!(guest.requests.take(), [PowerRequest::Off]);
    }

    #[test]
    fn the_timer_counts_at_three_and_a_half_megahertz() {
        let mut guest = Guest::new();
        guest.now = Instant(SECOND);
        assert_eq!(guest.read(8, Width::B4), 3_579_545);
        guest.now = Instant(2000 * SECOND);
        assert_eq!(guest.read(8, Width::B4), 2000 * 3_579_545 % (1 << 32));
    }

    #[test]
    fn the_timer_interrupts_when_its_highest_bit_changes() {
        let mut guest = Guest::new();
        assert_eq!(guest.pm.next_deadline(), Instant::NEVER);
        guest.write(2, Width::B2, 1);
        for half in 1..4 {
            let at = guest.pm.next_deadline();
            guest.pm.poll(Instant(at.0 - 1));
            assert!(!guest.sci.is_high());
            guest.pm.poll(at);
            assert!(guest.sci.is_high());
            assert_eq!(guest.pm.next_deadline(), Instant::NEVER, "it is not to be told twice");
            guest.now = at;
            assert_eq!(guest.read(8, Width::B4), (half << 31) & 0xffff_ffff);
            guest.write(0, Width::B2, 1);
            assert!(!guest.sci.is_high());
        }
    }

    proptest! {
        #[test]
        fn the_wire_is_high_exactly_while_an_enabled_status_is_set(
            accesses in proptest::collection::vec(
                (0..16u64, 0..4usize, any::<Option<u64>>(), any::<bool>()), 0..50),
        ) {
            let mut guest = Guest::new();
            for (offset, width, access, is_pressed) in accesses {
                let width = [Width::B1, Width::B2, Width::B4, Width::B8][width];
                match access {
                    Some(value) => guest.write(offset, width, value),
                    None => { guest.read(offset, width); }
                }
                if is_pressed {
                    guest.pm.press_power_button();
                }
                let events = guest.read(0, Width::B4);
                prop_assert_eq!(events & (events >> 16) & 0xffff != 0, guest.sci.is_high());
            }
        }
    }
}
