//! The real-time clock of a PC (Motorola, "MC146818 Real-Time Clock plus RAM") with its CMOS RAM, behind
//! an index port, 0x70, and a data port, 0x71.
//!
//! It counts seconds of the time that the owner passes in, from a date given at its construction. The
//! century is in byte 0x32: the FADT shall say so. Daylight saving is not done. An update takes no time,
//! but is announced as the manual has it. Interrupts are evaluated when the guest looks, and at the
//! latest when the owner calls [`CmosRtc::poll`] at [`CmosRtc::next_deadline`]; while the guest leaves
//! register C unread, nothing more can interrupt, and nothing is asked for.

use super::isa;
use super::wire::Wire;
use alloc::sync::Arc;
use core::time::Duration;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

mod alarm;
mod clock;
mod date;
mod divider;
mod format;

use alarm::Alarm;
use clock::Clock;
use format::Format;

/// Where the byte of the century is: `CENTURY` of the FADT.
pub const CENTURY_INDEX: u8 = 0x32;
/// Bytes of clock and RAM.
const BYTES: usize = 128;
/// The highest bit of the index port masks the NMI, of which there is none.
const INDEX: u8 = 0x7f;
/// The time before an update during which it is announced (table 6).
const ANNOUNCEMENT_NS: u64 = 244_000;

/// What is at an index (figure 8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Second,
    SecondAlarm,
    Minute,
    MinuteAlarm,
    Hour,
    HourAlarm,
    Weekday,
    Day,
    Month,
    Year,
    Century,
    A,
    B,
    C,
    D,
    Ram,
}

impl Register {
    const fn at(index: u8) -> Self {
        match index {
            0x00 => Self::Second,
            0x01 => Self::SecondAlarm,
            0x02 => Self::Minute,
            0x03 => Self::MinuteAlarm,
            0x04 => Self::Hour,
            0x05 => Self::HourAlarm,
            0x06 => Self::Weekday,
            0x07 => Self::Day,
            0x08 => Self::Month,
            0x09 => Self::Year,
            0x0a => Self::A,
            0x0b => Self::B,
            0x0c => Self::C,
            0x0d => Self::D,
            CENTURY_INDEX => Self::Century,
            _ => Self::Ram,
        }
    }
}

/// Bits of register A.
mod a {
    /// `UIP`, read only.
    pub(super) const UPDATE_IN_PROGRESS: u8 = 1 << 7;
    pub(super) const DIVIDER: u8 = 7 << 4;
    /// A crystal of 32,768 Hz.
    pub(super) const DIVIDER_RUNS: u8 = 2 << 4;
    pub(super) const RATE: u8 = 0xf;
    /// 1,024 Hz.
    pub(super) const RESET: u8 = DIVIDER_RUNS | 6;
}

/// Bits of register B.
mod b {
    pub(super) const SET: u8 = 1 << 7;
    pub(super) const UPDATE_INTERRUPT: u8 = 1 << 4;
    pub(super) const HOURS_24: u8 = 1 << 1;
    /// What a PC's firmware leaves.
    pub(super) const RESET: u8 = HOURS_24;
}

/// Flags of register C; those of the three causes are where register B enables them.
mod c {
    pub(super) const PERIODIC: u8 = 1 << 6;
    pub(super) const ALARM: u8 = 1 << 5;
    pub(super) const UPDATE: u8 = 1 << 4;
    pub(super) const CAUSES: u8 = PERIODIC | ALARM | UPDATE;
    pub(super) const REQUEST: u8 = 1 << 7;
}

/// `VRT` of register D: the battery is good.
const VALID: u8 = 1 << 7;

/// The clock and its RAM. The window is of ports 0x70 and 0x71.
pub struct CmosRtc {
    wire: Wire,
    epoch: Duration,
    clock: Clock,
    index: u8,
    alarm: Alarm,
    /// When the alarm comes, if ever.
    alarm_at: Instant,
    register_a: u8,
    register_b: u8,
    flags: u8,
    /// The second and the periodic tick until which flags are set.
    seen_second: u64,
    seen_tick: u64,
    ram: [u8; BYTES],
}

impl CmosRtc {
    /// A clock that shows `epoch` since 1970 at `Instant(0)`, and interrupts by `line`.
    pub fn new(epoch: Duration, line: Arc<dyn IrqLine>) -> Self {
        let mut clock = Self {
            wire: Wire::new(line),
            epoch,
            clock: Clock::new(epoch),
            index: 0,
            alarm: Alarm::default(),
            alarm_at: Instant::NEVER,
            register_a: a::RESET,
            register_b: b::RESET,
            flags: 0,
            seen_second: 0,
            seen_tick: 0,
            ram: [0; BYTES],
        };
        clock.restart(Instant(0));
        clock.rearm(Instant(0));
        clock
    }

    /// Puts `value` into the RAM at `index`, as firmware tells the guest of the machine. It stays at
    /// reset. An index of the clock, or past the RAM, is ignored.
    pub fn preset(&mut self, index: u8, value: u8) {
        if Register::at(index) == Register::Ram
            && let Some(byte) = self.ram.get_mut(usize::from(index))
        {
            *byte = value;
        }
    }

    /// When the clock wants to be polled to interrupt in time; `Instant::NEVER` if it need not.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        if self.flags & self.register_b & c::CAUSES != 0 {
            return Instant::NEVER;
        }
        let enabled = |cause, at: Instant| {
            if self.register_b & cause == 0 { Instant::NEVER } else { at }
        };
        let divider = self.clock.divider();
        let tick = match self.periodic_hertz() {
            Some(hertz) => divider.tick_begin(hertz, self.seen_tick.saturating_add(1)),
            None => Instant::NEVER,
        };
        let update = if self.clock.is_running() {
            divider.begin(self.seen_second.saturating_add(1))
        } else {
            Instant::NEVER
        };
        enabled(c::PERIODIC, tick)
            .min(enabled(c::ALARM, self.alarm_at))
            .min(enabled(c::UPDATE, update))
    }

    /// Raises the interrupts that are due.
    pub fn poll(&mut self, now: Instant) {
        let divider = self.clock.divider();
        if let Some(hertz) = self.periodic_hertz() {
            let tick = divider.tick(hertz, now);
            if tick > self.seen_tick {
                self.flags |= c::PERIODIC;
                self.seen_tick = tick;
            }
        }
        let second = divider.second(now);
        if second > self.seen_second {
            self.seen_second = second;
            if self.clock.is_running() {
                self.flags |= c::UPDATE;
            }
        }
        if self.alarm_at <= now {
            self.flags |= c::ALARM;
            self.rearm(now);
        }
        self.update_wire();
    }

    /// How fast periodic ticks are (table 5), if there are any.
    fn periodic_hertz(&self) -> Option<u64> {
        if self.register_a & a::DIVIDER != a::DIVIDER_RUNS {
            return None;
        }
        match self.register_a & a::RATE {
            0 => None,
            1 => Some(256),
            2 => Some(128),
            rate => Some(0x1_0000 >> rate),
        }
    }

    /// Looks for the next alarm, after anything that it depends on was changed.
    fn rearm(&mut self, now: Instant) {
        self.alarm_at = self.clock.next(self.alarm, Format::of(self.register_b), now);
    }

    /// Begins to look for ticks and seconds anew, after their rate was changed.
    fn restart(&mut self, now: Instant) {
        let divider = self.clock.divider();
        self.seen_second = divider.second(now);
        self.seen_tick = self.periodic_hertz().map_or(0, |hertz| divider.tick(hertz, now));
    }

    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.flags & self.register_b & c::CAUSES != 0));
    }

    fn is_set(&self) -> bool {
        self.register_b & b::SET != 0
    }

    fn is_divider_running(&self) -> bool {
        self.register_a & a::DIVIDER == a::DIVIDER_RUNS
    }

    fn set_register_a(&mut self, value: u8, now: Instant) {
        let was_running = self.is_divider_running();
        self.register_a = value & !a::UPDATE_IN_PROGRESS;
        match (was_running, self.is_divider_running()) {
            (true, false) => self.clock.hold(now),
            (false, true) => self.clock.release_divider(now),
            (true, true) | (false, false) => {}
        }
        self.run_or_hold(now);
        self.restart(now);
    }

    /// `SET` stops updates, and the interrupt at their end.
    fn set_register_b(&mut self, value: u8, now: Instant) {
        self.register_b = if value & b::SET == 0 { value } else { value & !b::UPDATE_INTERRUPT };
        self.run_or_hold(now);
        self.update_wire();
    }

    fn run_or_hold(&mut self, now: Instant) {
        if self.is_set() || !self.is_divider_running() {
            self.clock.hold(now);
        } else {
            self.clock.run(now);
        }
        self.rearm(now);
    }

    /// `IRQF` and the flags, which reading clears.
    fn take_flags(&mut self) -> u8 {
        let request = if self.flags & self.register_b & c::CAUSES != 0 { c::REQUEST } else { 0 };
        let flags = self.flags | request;
        self.flags = 0;
        self.update_wire();
        flags
    }

    fn read_register_a(&self, now: Instant) -> u8 {
        let is_announced =
            self.clock.is_running() && self.clock.divider().left_ns(now) <= ANNOUNCEMENT_NS;
        self.register_a | if is_announced { a::UPDATE_IN_PROGRESS } else { 0 }
    }

    fn read_data(&mut self, now: Instant) -> u8 {
        let format = Format::of(self.register_b);
        let date = self.clock.date(now);
        match Register::at(self.index) {
            Register::Second => format.encode(date.second),
            Register::SecondAlarm => self.alarm.second,
            Register::Minute => format.encode(date.minute),
            Register::MinuteAlarm => self.alarm.minute,
            Register::Hour => format.encode_hour(date.hour),
            Register::HourAlarm => self.alarm.hour,
            Register::Weekday => format.encode(date.weekday),
            Register::Day => format.encode(date.day),
            Register::Month => format.encode(date.month),
            Register::Year => format.encode(date.year),
            Register::Century => format.encode(date.century),
            Register::A => self.read_register_a(now),
            Register::B => self.register_b,
            Register::C => self.take_flags(),
            Register::D => VALID,
            Register::Ram => self.ram.get(usize::from(self.index)).copied().unwrap_or(0),
        }
    }

    fn write_data(&mut self, value: u8, now: Instant) {
        let format = Format::of(self.register_b);
        let number = format.decode(value);
        let mut date = self.clock.date(now);
        match Register::at(self.index) {
            Register::Second => date.second = number,
            Register::Minute => date.minute = number,
            Register::Hour => date.hour = format.decode_hour(value),
            Register::Weekday => date.weekday = number,
            Register::Day => date.day = number,
            Register::Month => date.month = number,
            Register::Year => date.year = number,
            Register::Century => date.century = number,
            Register::SecondAlarm => self.alarm.second = value,
            Register::MinuteAlarm => self.alarm.minute = value,
            Register::HourAlarm => self.alarm.hour = value,
            Register::A => return self.set_register_a(value, now),
            Register::B => return self.set_register_b(value, now),
            Register::C | Register::D => return,
            Register::Ram => {
                if let Some(byte) = self.ram.get_mut(usize::from(self.index)) {
                    *byte = value;
                }
                return;
            }
        }
        self.clock.set(date, now);
        self.rearm(now);
    }
}

impl Device for CmosRtc {
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        self.poll(now);
        // The index cannot be read.
        isa::read(offset, width, |at| if at == 1 { self.read_data(now) } else { isa::FLOATING })
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        // The index alone, which each access to the data follows: that looks at the time.
        if (offset, width) == (0, Width::B1) {
            self.index = value as u8 & INDEX;
            return;
        }
        self.poll(now);
        isa::write(offset, width, value, |at, value| match at {
            0 => self.index = value & INDEX,
            1 => self.write_data(value, now),
            _ => {}
        });
    }

    /// The RAM has a battery, but a guest that starts anew shall find the date of the machine and what
    /// its firmware put there.
    fn reset(&mut self) {
        self.wire.drive(Level::Low);
        self.clock = Clock::new(self.epoch);
        self.index = 0;
        self.alarm = Alarm::default();
        self.register_a = a::RESET;
        self.register_b = b::RESET;
        self.flags = 0;
        // No time is given here: what has passed is noticed at the first poll, and told to nobody.
        self.restart(Instant(0));
        self.rearm(Instant(0));
    }
}

#[cfg(test)]
mod tests;
