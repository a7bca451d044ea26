//! The 8254 interval timer (Intel 231164, "8254 Programmable Interval Timer") of a PC: channel 0 drives
//! interrupt 0, channel 1 nothing, and channel 2 the speaker, by the gate and the output in port 0x61
//! (Intel 82371SB, "PIIX3", 2.5.2.2, `NSC`).
//!
//! Channel 0's wire shows the rising edges of its output, which is all that matters at an
//! edge-triggered input, and each is as late as the [`Pit8254::poll`] that finds it: what rises several
//! times between two polls interrupts once. The output is low for no time before it rises again, so an
//! interrupt controller that is slow to look still finds it high.

use super::frequency::Frequency;
use super::isa;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

mod channel;
mod counting;
mod port_b;

use channel::{Channel, Gate};
pub use port_b::PortB;

/// Ticks a second: a third of the PM timer's.
const CLOCK: Frequency = Frequency::from_hertz(1_193_182);
/// `NSC.SPKR_DAT_EN`, which is only remembered.
const SPEAKER: u8 = 1 << 1;
/// `NSC.TIM_CNT2_EN`: the gate of channel 2.
const GATE: u8 = 1 << 0;
/// `NSC.REF_TOGGLE`, which changes at each refresh of the RAM: every 18 ticks, as channel 1 would do it.
const REFRESH: u8 = 1 << 4;
const REFRESH_TICKS: u64 = 18;
/// `NSC.TMR2_OUT_STS`.
const OUTPUT: u8 = 1 << 5;

/// The three channels. The window is of ports 0x40 to 0x43.
pub struct Pit8254 {
    line: Arc<dyn IrqLine>,
    level: Level,
    channels: [Channel; 3],
    speaker: u8,
}

impl Pit8254 {
    /// A timer whose channel 0 interrupts by `line`, an edge-triggered wire.
    pub fn new(line: Arc<dyn IrqLine>) -> Self {
        Self { line, level: Level::Low, channels: Self::channels(), speaker: 0 }
    }

    fn channels() -> [Channel; 3] {
        [Channel::new(Gate::High), Channel::new(Gate::High), Channel::new(Gate::Low)]
    }

    /// When the timer wants to be polled to interrupt in time; `Instant::NEVER` if it need not.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let [channel, ..] = &self.channels;
        channel.next_rise().map_or(Instant::NEVER, |tick| CLOCK.instant(tick))
    }

    /// Raises channel 0's interrupt if it is due.
    pub fn poll(&mut self, now: Instant) {
        let [channel, ..] = &mut self.channels;
        if channel.take_rise(CLOCK.ticks(now)) {
            self.drive(Level::Low);
            self.drive(Level::High);
        }
    }

    /// Reads port 0x61.
    pub fn read_port_b(&mut self, now: Instant) -> u8 {
        let ticks = CLOCK.ticks(now);
        let [.., channel] = &mut self.channels;
        let output = if channel.output(ticks) == Level::High { OUTPUT } else { 0 };
        let gate = if channel.gate() == Gate::High { GATE } else { 0 };
        let refresh = if (ticks / REFRESH_TICKS).is_multiple_of(2) { 0 } else { REFRESH };
        output | gate | refresh | self.speaker
    }

    /// Writes port 0x61.
    pub fn write_port_b(&mut self, value: u8, now: Instant) {
        self.speaker = value & SPEAKER;
        let gate = if value & GATE == 0 { Gate::Low } else { Gate::High };
        let [.., channel] = &mut self.channels;
        channel.set_gate(gate, CLOCK.ticks(now));
    }

    fn drive(&mut self, level: Level) {
        if level != self.level {
            self.level = level;
            self.line.set(level);
        }
    }

    /// The control word (figure 7), or the read-back command (figure 11).
    fn control(&mut self, value: u8, ticks: u64) {
        let selected = usize::from(value >> 6);
        if let Some(channel) = self.channels.get_mut(selected) {
            let output = channel.control(value, ticks);
            self.follow(selected, output);
            return;
        }
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if value & 2 << index != 0 {
                channel.read_back(value, ticks);
            }
        }
    }

    /// What was written to a channel may have set its output at once.
    fn follow(&mut self, channel: usize, output: Option<Level>) {
        if let (0, Some(level)) = (channel, output) {
            self.drive(level);
        }
    }

    fn read_register(&mut self, offset: u64, ticks: u64) -> u8 {
        // The control word cannot be read.
        let Ok(index) = usize::try_from(offset) else { return isa::FLOATING };
        self.channels.get_mut(index).map_or(isa::FLOATING, |channel| channel.read(ticks))
    }

    fn write_register(&mut self, offset: u64, value: u8, ticks: u64) {
        if offset == 3 {
            return self.control(value, ticks);
        }
        let Ok(index) = usize::try_from(offset) else { return };
        if let Some(channel) = self.channels.get_mut(index) {
            let output = channel.write(value, ticks);
            self.follow(index, output);
        }
    }
}

impl Device for Pit8254 {
    fn read(&mut self, offset: u64, width: Width, now: Instant) -> u64 {
        self.poll(now);
        let ticks = CLOCK.ticks(now);
        isa::read(offset, width, |offset| self.read_register(offset, ticks))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, now: Instant) {
        self.poll(now);
        let ticks = CLOCK.ticks(now);
        isa::write(offset, width, value, |offset, value| {
            self.write_register(offset, value, ticks);
        });
    }

    fn reset(&mut self) {
        self.drive(Level::Low);
        self.channels = Self::channels();
        self.speaker = 0;
    }
}

#[cfg(test)]
mod tests;
