//! The six ways in which a channel counts (231164, "Mode Definitions"), as functions of the ticks since
//! its count was loaded.

use hv_core::guest::Level;

/// What a channel does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// 0: low until the count has run out.
    TerminalCount,
    /// 1: the same, from the gate's rising edge on.
    OneShot,
    /// 2: low for the last tick of each period.
    Rate,
    /// 3: low for the second half of each period.
    Square,
    /// 4: low for the tick at which the count has run out.
    SoftwareStrobe,
    /// 5: the same, from the gate's rising edge on.
    HardwareStrobe,
}

impl Mode {
    /// The mode in bits 3 to 1 of a control word.
    pub(super) const fn from_control(value: u8) -> Self {
        match (value >> 1) & 7 {
            0 => Self::TerminalCount,
            1 => Self::OneShot,
            2 | 6 => Self::Rate,
            3 | 7 => Self::Square,
            4 => Self::SoftwareStrobe,
            _ => Self::HardwareStrobe,
        }
    }

    /// The output before anything is counted.
    pub(super) const fn idle_output(self) -> Level {
        match self {
            Self::TerminalCount => Level::Low,
            Self::OneShot
            | Self::Rate
            | Self::Square
            | Self::SoftwareStrobe
            | Self::HardwareStrobe => Level::High,
        }
    }

    /// The smallest count that counts: one is illegal where there is a period.
    const fn length(self, count: u32) -> u64 {
        let least = match self {
            Self::Rate | Self::Square => 2,
            Self::TerminalCount | Self::OneShot | Self::SoftwareStrobe | Self::HardwareStrobe => 1,
        };
        if count < least { least as u64 } else { count as u64 }
    }

    /// The output, `elapsed` ticks after `count` was loaded.
    pub(super) fn output(self, count: u32, elapsed: u64) -> Level {
        let length = self.length(count);
        Level::from(match self {
            Self::TerminalCount | Self::OneShot => elapsed >= length,
            Self::Rate => elapsed % length != length - 1,
            Self::Square => elapsed % length < length.div_ceil(2),
            Self::SoftwareStrobe | Self::HardwareStrobe => elapsed != length,
        })
    }

    /// What the counter shows, `elapsed` ticks after `count` was loaded; below `modulus`.
    pub(super) fn counter(self, count: u32, elapsed: u64, modulus: u32) -> u32 {
        let (length, modulus) = (self.length(count), u64::from(modulus));
        let shown = match self {
            Self::TerminalCount | Self::OneShot | Self::SoftwareStrobe | Self::HardwareStrobe => {
                (length % modulus) + modulus - elapsed % modulus
            }
            Self::Rate => length - elapsed % length,
            // By twos, in each half; an odd count is first made even.
            Self::Square => {
                let phase = elapsed % length;
                let half = length.div_ceil(2);
                (length & !1) - 2 * if phase < half { phase } else { phase - half }
            }
        };
        (shown % modulus) as u32
    }

    /// When the output rises next, in ticks since `count` was loaded, later than `elapsed`.
    pub(super) fn next_rise(self, count: u32, elapsed: u64) -> Option<u64> {
        let length = self.length(count);
        match self {
            Self::TerminalCount | Self::OneShot => (elapsed < length).then_some(length),
            Self::Rate | Self::Square => Some((elapsed / length + 1) * length),
            Self::SoftwareStrobe | Self::HardwareStrobe => {
                (elapsed <= length).then_some(length + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_manuals_timings_hold() {
        let outputs = |mode: Mode, count| {
            (0..8).map(|at| u8::from(mode.output(count, at) == Level::High)).collect::<Vec<_>>()
        };
        assert_eq!(outputs(Mode::TerminalCount, 4), [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(outputs(Mode::Rate, 3), [1, 1, 0, 1, 1, 0, 1, 1]);
        assert_eq!(outputs(Mode::Square, 4), [1, 1, 0, 0, 1, 1, 0, 0]);
        assert_eq!(outputs(Mode::Square, 5), [1, 1, 1, 0, 0, 1, 1, 1]);
        assert_eq!(outputs(Mode::SoftwareStrobe, 3), [1, 1, 1, 0, 1, 1, 1, 1]);
        let counters = |mode: Mode, count| {
            (0..8).map(|at| mode.counter(count, at, 0x10000)).collect::<Vec<_>>()
        };
        assert_eq!(counters(Mode::TerminalCount, 4), [4, 3, 2, 1, 0, 0xffff, 0xfffe, 0xfffd]);
        assert_eq!(counters(Mode::Rate, 3), [3, 2, 1, 3, 2, 1, 3, 2]);
        assert_eq!(counters(Mode::Square, 4), [4, 2, 4, 2, 4, 2, 4, 2]);
        assert_eq!(counters(Mode::Square, 5), [4, 2, 0, 4, 2, 4, 2, 0]);
    }

    proptest! {
        #[test]
        fn a_rise_is_where_the_output_changes_from_low_to_high(
            mode in 0..6u8, count in 1..=0x10000u32, from in 0..0x4_0000u64,
        ) {
            let mode = Mode::from_control(mode << 1);
            let Some(at) = mode.next_rise(count, from) else {
                prop_assert!(from >= u64::from(count));
                return Ok(());
            };
            prop_assert!(at > from);
            prop_assert_eq!(mode.output(count, at - 1), Level::Low);
            prop_assert_eq!(mode.output(count, at), Level::High);
        }
    }
}
