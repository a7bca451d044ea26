//! The PL061 GPIO controller (Arm DDI 0190, "PrimeCell General Purpose Input/Output (PL061)
//! Technical Reference Manual"): eight lines, of which one is the machine's power key.

use super::primecell;
use super::wire::Wire;
use alloc::sync::Arc;
use hv_core::guest::{Device, IrqLine, Level, Width};
use hv_core::time::Instant;

/// The registers (table 3-1), found by their offset. The data register appears 256 times: bits 9
/// to 2 of the address say which lines an access concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Register {
    Data(u8),
    Direction,
    Sense,
    BothEdges,
    Event,
    InterruptMask,
    RawInterrupts,
    MaskedInterrupts,
    InterruptClear,
    AlternateFunction,
}

impl Register {
    const fn at(offset: u64) -> Option<Self> {
        Some(match offset {
            0x000..0x400 => Self::Data((offset >> 2) as u8),
            0x400 => Self::Direction,
            0x404 => Self::Sense,
            0x408 => Self::BothEdges,
            0x40c => Self::Event,
            0x410 => Self::InterruptMask,
            0x414 => Self::RawInterrupts,
            0x418 => Self::MaskedInterrupts,
            0x41c => Self::InterruptClear,
            0x420 => Self::AlternateFunction,
            _ => return None,
        })
    }
}

/// `GPIOPeriphID0` to 3.
const PERIPHERAL_ID: [u8; 4] = [0x61, 0x10, 0x04, 0x00];

/// What the guest can set; one bit for each line.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    /// Levels of the lines that are outputs.
    output: u8,
    /// Set: an output.
    direction: u8,
    /// Set: the level interrupts. Clear: edges do.
    sense: u8,
    /// Set: both edges interrupt.
    both_edges: u8,
    /// Set: the rising edge, or the high level, interrupts.
    event: u8,
    interrupt_mask: u8,
    /// Edges that were seen and not cleared.
    edges: u8,
    alternate_function: u8,
}

/// One GPIO controller.
pub struct Pl061 {
    wire: Wire,
    /// Levels from the outside. They are not the guest's, so a reset does not change them.
    input: u8,
    lines: Lines,
}

impl Pl061 {
    /// A controller with all lines low, which interrupts by `line`.
    pub fn new(line: Arc<dyn IrqLine>) -> Self {
        Self { wire: Wire::new(line), input: 0, lines: Lines::default() }
    }

    /// Drives line 0 to 7 from the outside. There are no others, and driving one does nothing.
    pub fn set_input(&mut self, line: u8, level: Level) {
        let Some(bit) = 1u8.checked_shl(u32::from(line)) else { return };
        let input = match level {
            Level::High => self.input | bit,
            Level::Low => self.input & !bit,
        };
        let Lines { direction, both_edges, event, sense, .. } = self.lines;
        let changed = (input ^ self.input) & !direction;
        let wanted = both_edges | !(input ^ event);
        self.lines.edges |= changed & wanted & !sense;
        self.input = input;
        self.update_wire();
    }

    /// The levels that the guest reads.
    fn levels(&self) -> u8 {
        let Lines { output, direction, .. } = self.lines;
        (output & direction) | (self.input & !direction)
    }

    fn raw_interrupts(&self) -> u8 {
        let Lines { direction, sense, event, edges, .. } = self.lines;
        let levels = !(self.input ^ event) & !direction;
        (edges & !sense) | (levels & sense)
    }

    fn update_wire(&mut self) {
        self.wire.drive(Level::from(self.raw_interrupts() & self.lines.interrupt_mask != 0));
    }

    fn read_register(&self, offset: u64) -> u32 {
        let Some(register) = Register::at(offset) else {
            return primecell::identification(offset, PERIPHERAL_ID).unwrap_or(0);
        };
        u32::from(match register {
            Register::Data(mask) => self.levels() & mask,
            Register::Direction => self.lines.direction,
            Register::Sense => self.lines.sense,
            Register::BothEdges => self.lines.both_edges,
            Register::Event => self.lines.event,
            Register::InterruptMask => self.lines.interrupt_mask,
            Register::RawInterrupts => self.raw_interrupts(),
            Register::MaskedInterrupts => self.raw_interrupts() & self.lines.interrupt_mask,
            Register::InterruptClear => 0,
            Register::AlternateFunction => self.lines.alternate_function,
        })
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        let Some(register) = Register::at(offset) else { return };
        let value = value as u8;
        let lines = &mut self.lines;
        match register {
            Register::Data(mask) => lines.output = (lines.output & !mask) | (value & mask),
            Register::Direction => lines.direction = value,
            Register::Sense => lines.sense = value,
            Register::BothEdges => lines.both_edges = value,
            Register::Event => lines.event = value,
            Register::InterruptMask => lines.interrupt_mask = value,
            Register::InterruptClear => lines.edges &= !value,
            Register::AlternateFunction => lines.alternate_function = value,
            Register::RawInterrupts | Register::MaskedInterrupts => {}
        }
        self.update_wire();
    }
}

impl Device for Pl061 {
    fn read(&mut self, offset: u64, width: Width, _now: Instant) -> u64 {
        primecell::read(offset, width, |register| self.read_register(register))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, _now: Instant) {
        primecell::write(offset, width, value, |register, value| {
            self.write_register(register, value);
        });
    }

    fn reset(&mut self) {
        self.lines = Lines::default();
        self.wire.drive(Level::Low);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::wire::testing::Probe;
    use proptest::prelude::*;

    const DIR: u64 = 0x400;
    const IS: u64 = 0x404;
    const IBE: u64 = 0x408;
    const IEV: u64 = 0x40c;
    const IE: u64 = 0x410;
    const MIS: u64 = 0x418;
    const IC: u64 = 0x41c;
    const NOW: Instant = Instant(0);

    fn gpio() -> (Pl061, Arc<Probe>) {
        let wire = Arc::new(Probe::default());
        (Pl061::new(wire.clone()), wire)
    }

    fn read(gpio: &mut Pl061, offset: u64) -> u64 {
        gpio.read(offset, Width::B1, NOW)
    }

    fn write(gpio: &mut Pl061, offset: u64, value: u64) {
        gpio.write(offset, Width::B1, value, NOW);
    }

    #[test]
    fn linux_sees_the_power_key_pressed_and_released() {
        let (mut gpio, wire) = gpio();
        let key = 3;
        let data = 1 << (key + 2);
        // gpio-pl061 at probe, then gpio-keys asking for both edges of an input.
        write(&mut gpio, IE, 0);
        write(&mut gpio, DIR, 0);
        write(&mut gpio, IS, 0);
        write(&mut gpio, IBE, 1 << key);
        write(&mut gpio, IE, 1 << key);
        for (level, shown) in [(Level::High, 1 << key), (Level::Low, 0)] {
            gpio.set_input(key, level);
            assert!(wire.is_high());
            assert_eq!(read(&mut gpio, MIS), 1 << key);
            write(&mut gpio, IC, 1 << key);
            assert!(!wire.is_high());
            assert_eq!(read(&mut gpio, data), shown);
        }
    }

    #[test]
    fn the_address_masks_data_in_both_directions() {
        let (mut gpio, _) = gpio();
        write(&mut gpio, DIR, 0xff);
        write(&mut gpio, 0x3fc, 0xff);
        write(&mut gpio, 0x0f << 2, 0);
        assert_eq!(read(&mut gpio, 0x3fc), 0xf0);
        assert_eq!(read(&mut gpio, 0x30 << 2), 0x30);
        assert_eq!(read(&mut gpio, 0), 0);
    }

    #[test]
    fn one_edge_interrupts_when_one_was_asked_for() {
        for (event, level) in [(1, Level::High), (0, Level::Low)] {
            let (mut gpio, wire) = gpio();
            write(&mut gpio, IEV, event);
            write(&mut gpio, IE, 1);
            for step in [Level::High, Level::Low] {
                gpio.set_input(0, step);
                assert_eq!(wire.is_high(), step == level);
                write(&mut gpio, IC, 1);
            }
        }
    }

    #[test]
    fn a_level_interrupts_for_as_long_as_it_lasts() {
        let (mut gpio, wire) = gpio();
        write(&mut gpio, IS, 2);
        write(&mut gpio, IEV, 2);
        write(&mut gpio, IE, 2);
        gpio.set_input(1, Level::High);
        write(&mut gpio, IC, 2);
        assert!(wire.is_high());
        gpio.set_input(1, Level::Low);
        assert!(!wire.is_high());
    }

    #[test]
    fn a_line_that_does_not_exist_is_ignored() {
        let (mut gpio, _) = gpio();
        gpio.set_input(8, Level::High);
        gpio.set_input(255, Level::High);
        assert_eq!(read(&mut gpio, 0x3fc), 0);
    }

    #[test]
    fn it_is_identified_as_a_pl061() {
        let (mut gpio, _) = gpio();
        let id = (0..4).fold(0, |id, byte| id | read(&mut gpio, 0xfe0 + 4 * byte) << (8 * byte));
        assert_eq!(id, 0x0004_1061);
    }

    proptest! {
        #[test]
        fn every_access_is_answered_and_the_wire_is_the_masked_interrupts(
            accesses in proptest::collection::vec(
                (0..0x1100u64, any::<Option<u64>>(), any::<u8>(), any::<bool>()), 0..100),
        ) {
            let (mut gpio, wire) = gpio();
            for (offset, access, line, high) in accesses {
                match access {
                    Some(value) => gpio.write(offset, Width::B8, value, NOW),
                    None => { gpio.read(offset, Width::B8, NOW); }
                }
                gpio.set_input(line % 10, Level::from(high));
                prop_assert_eq!(read(&mut gpio, MIS) != 0, wire.is_high());
            }
            gpio.reset();
            prop_assert!(!wire.is_high());
        }
    }
}
