//! One channel: its registers, and where it is in its count.

use super::counting::Mode;
use hv_core::guest::Level;

/// The level of a channel's gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Gate {
    Low,
    High,
}

/// Which bytes of a count are read and written (`RW`, figure 7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    Low,
    High,
    LowThenHigh,
}

/// Which byte of a count is next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    First,
    Second,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// It waits for a count or for its gate.
    Idle,
    /// `count` is loaded at tick `start`.
    Running { start: u64, count: u32 },
    /// The gate stopped it so many ticks after `count` was loaded.
    Held { elapsed: u64, count: u32 },
}

/// Bits of the control word and of the read-back command.
mod bit {
    pub(super) const BINARY_CODED_DECIMAL: u8 = 1 << 0;
    pub(super) const ACCESS: u8 = 3 << 4;
    pub(super) const KEEP_STATUS: u8 = 1 << 4;
    pub(super) const KEEP_COUNT: u8 = 1 << 5;
    pub(super) const NULL_COUNT: u8 = 1 << 6;
    pub(super) const OUTPUT: u8 = 1 << 7;
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// The low six bits of the control word.
    control: u8,
    mode: Mode,
    access: Access,
    gate: Gate,
    /// The count last written, 1 to 65,536.
    count: Option<u32>,
    progress: Progress,
    /// The tick at which a new count takes the place of the one that runs.
    next_load: Option<u64>,
    low_byte: u8,
    write_next: Next,
    read_next: Next,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
    /// The tick until which rising edges were taken.
    seen: u64,
}

impl Channel {
    /// A channel that nothing was written to.
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            control: bit::ACCESS,
            mode: Mode::TerminalCount,
            access: Access::LowThenHigh,
            gate,
            count: None,
            progress: Progress::Idle,
            next_load: None,
            low_byte: 0,
            write_next: Next::First,
            read_next: Next::First,
            latched_count: None,
            latched_status: None,
            seen: 0,
        }
    }

    pub(super) fn gate(&self) -> Gate {
        self.gate
    }

    /// A control word for this channel. Gives the output if that is set by it.
    pub(super) fn control(&mut self, value: u8, ticks: u64) -> Option<Level> {
        let access = match value & bit::ACCESS {
            0 => {
                self.latch_count(ticks);
                return None;
            }
            0x10 => Access::Low,
            0x20 => Access::High,
            _ => Access::LowThenHigh,
        };
        *self = Self {
            control: value & 0x3f,
            mode: Mode::from_control(value),
            access,
            seen: ticks,
            ..Self::new(self.gate)
        };
        Some(self.mode.idle_output())
    }

    /// The read-back command, if it selects this channel.
    pub(super) fn read_back(&mut self, value: u8, ticks: u64) {
        if value & bit::KEEP_COUNT == 0 {
            self.latch_count(ticks);
        }
        if value & bit::KEEP_STATUS == 0 && self.latched_status.is_none() {
            self.latched_status = Some(self.status(ticks));
        }
    }

    /// What is latched stays until it is read.
    fn latch_count(&mut self, ticks: u64) {
        if self.latched_count.is_none() {
            self.latched_count = Some(self.counter(ticks));
        }
    }

    fn status(&mut self, ticks: u64) -> u8 {
        let output = if self.output(ticks) == Level::High { bit::OUTPUT } else { 0 };
        let is_loaded = match self.progress {
            Progress::Idle => false,
            Progress::Running { start, .. } => start <= ticks && self.next_load.is_none(),
            Progress::Held { .. } => true,
        };
        output | if is_loaded { 0 } else { bit::NULL_COUNT } | self.control
    }

    /// Writes a byte of the count. Gives the output if that is set by it.
    pub(super) fn write(&mut self, value: u8, ticks: u64) -> Option<Level> {
        let written = match (self.access, self.write_next) {
            (Access::Low, _) => u16::from(value),
            (Access::High, _) => u16::from(value) << 8,
            (Access::LowThenHigh, Next::First) => {
                self.low_byte = value;
                self.write_next = Next::Second;
                // In mode 0, the first byte stops what is counted.
                return (self.mode == Mode::TerminalCount).then(|| {
                    self.progress = Progress::Idle;
                    Level::Low
                });
            }
            (Access::LowThenHigh, Next::Second) => {
                self.write_next = Next::First;
                u16::from_le_bytes([self.low_byte, value])
            }
        };
        self.count = Some(self.decode(written));
        self.begin(ticks);
        (self.mode == Mode::TerminalCount).then_some(Level::Low)
    }

    /// A count was written.
    fn begin(&mut self, ticks: u64) {
        self.sync(ticks);
        let Some(count) = self.count else { return };
        match (self.mode, self.gate) {
            (Mode::TerminalCount | Mode::SoftwareStrobe, Gate::Low) => {
                self.progress = Progress::Held { elapsed: 0, count };
            }
            (Mode::TerminalCount | Mode::SoftwareStrobe, Gate::High) => self.load(count, ticks),
            // They wait for the gate.
            (Mode::OneShot | Mode::HardwareStrobe, _) | (Mode::Rate | Mode::Square, Gate::Low) => {}
            // A new count waits for the end of the period.
            (Mode::Rate | Mode::Square, Gate::High) => match self.progress {
                Progress::Running { start, count } => {
                    let elapsed = ticks.saturating_sub(start);
                    let rise = self.mode.next_rise(count, elapsed);
                    self.next_load = rise.map(|rise| start.saturating_add(rise));
                }
                Progress::Idle | Progress::Held { .. } => self.load(count, ticks),
            },
        }
    }

    /// A count is loaded by the tick that follows.
    fn load(&mut self, count: u32, ticks: u64) {
        self.progress = Progress::Running { start: ticks.saturating_add(1), count };
        self.next_load = None;
        self.seen = ticks;
    }

    pub(super) fn set_gate(&mut self, gate: Gate, ticks: u64) {
        self.sync(ticks);
        if gate == self.gate {
            return;
        }
        self.gate = gate;
        match (self.mode, gate, self.progress) {
            (
                Mode::TerminalCount | Mode::SoftwareStrobe,
                Gate::Low,
                Progress::Running { start, count },
            ) => {
                let elapsed = ticks.saturating_sub(start);
                self.progress = Progress::Held { elapsed, count };
            }
            (
                Mode::TerminalCount | Mode::SoftwareStrobe,
                Gate::High,
                Progress::Held { elapsed, count },
            ) => {
                self.progress = Progress::Running { start: ticks.saturating_sub(elapsed), count };
            }
            (Mode::Rate | Mode::Square, Gate::Low, _) => {
                self.progress = Progress::Idle;
                self.next_load = None;
            }
            (Mode::OneShot | Mode::Rate | Mode::Square | Mode::HardwareStrobe, Gate::High, _) => {
                if let Some(count) = self.count {
                    self.load(count, ticks);
                }
            }
            (
                Mode::TerminalCount | Mode::SoftwareStrobe | Mode::OneShot | Mode::HardwareStrobe,
                Gate::Low,
                _,
            )
            | (Mode::TerminalCount | Mode::SoftwareStrobe, Gate::High, _) => {}
        }
    }

    /// Loads a count whose time has come.
    fn sync(&mut self, ticks: u64) {
        if let (Some(start), Some(count)) = (self.next_load, self.count)
            && start <= ticks
        {
            self.progress = Progress::Running { start, count };
            self.next_load = None;
        }
    }

    /// The output at `ticks`.
    pub(super) fn output(&mut self, ticks: u64) -> Level {
        self.sync(ticks);
        match self.progress {
            Progress::Idle => self.mode.idle_output(),
            Progress::Running { start, count } => {
                self.mode.output(count, ticks.saturating_sub(start))
            }
            Progress::Held { elapsed, count } => self.mode.output(count, elapsed),
        }
    }

    /// The tick at which the output rises next, of those that were not taken.
    pub(super) fn next_rise(&self) -> Option<u64> {
        let Progress::Running { start, count } = self.progress else { return None };
        let rise = self.mode.next_rise(count, self.seen.saturating_sub(start))?;
        Some(start.saturating_add(rise))
    }

    /// Whether the output has risen since this was asked last.
    pub(super) fn take_rise(&mut self, ticks: u64) -> bool {
        // A new count is loaded by a rise, which is counted from the old one.
        let has_risen = self.next_rise().is_some_and(|rise| rise <= ticks);
        self.sync(ticks);
        self.seen = ticks;
        has_risen
    }

    fn modulus(&self) -> u32 {
        if self.control & bit::BINARY_CODED_DECIMAL == 0 { 0x1_0000 } else { 10_000 }
    }

    /// A count as it is written; zero is the greatest.
    fn decode(&self, written: u16) -> u32 {
        let value = if self.control & bit::BINARY_CODED_DECIMAL == 0 {
            u32::from(written)
        } else {
            let digit = |place: u16| u32::from(written >> (4 * place) & 0xf);
            digit(3) * 1000 + digit(2) * 100 + digit(1) * 10 + digit(0)
        };
        if value == 0 { self.modulus() } else { value }
    }

    /// What the counter shows, as it is read.
    fn counter(&mut self, ticks: u64) -> u16 {
        self.sync(ticks);
        let (elapsed, count) = match self.progress {
            Progress::Idle => return 0,
            Progress::Running { start, count } => (ticks.saturating_sub(start), count),
            Progress::Held { elapsed, count } => (elapsed, count),
        };
        let value = self.mode.counter(count, elapsed, self.modulus());
        if self.control & bit::BINARY_CODED_DECIMAL == 0 {
            return value as u16;
        }
        (0..4_u32).fold(0, |coded, place| {
            coded | ((value / 10_u32.pow(place) % 10) as u16) << (4 * place)
        })
    }

    /// Reads the status if it was latched, or else a byte of the count.
    pub(super) fn read(&mut self, ticks: u64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let [low, high] = self.latched_count.unwrap_or_else(|| self.counter(ticks)).to_le_bytes();
        let (byte, is_last) = match (self.access, self.read_next) {
            (Access::Low, _) => (low, true),
            (Access::High, _) => (high, true),
            (Access::LowThenHigh, Next::First) => (low, false),
            (Access::LowThenHigh, Next::Second) => (high, true),
        };
        self.read_next = if is_last { Next::First } else { Next::Second };
        if is_last {
            self.latched_count = None;
        }
        byte
    }
}
