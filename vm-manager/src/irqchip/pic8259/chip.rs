//! One 8259A (Intel 231468, "8259A Programmable Interrupt Controller").

use hv_core::guest::Level;

/// The place of a chip in the pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Master,
    Slave,
}

impl Place {
    /// The inputs that may be level-triggered: not the timer's, the keyboard's, the cascade's, the
    /// clock's and the coprocessor's (82371SB, "PIIX3", 2.5.4.5).
    const fn level_inputs(self) -> u8 {
        match self {
            Self::Master => 0xf8,
            Self::Slave => 0xde,
        }
    }
}

/// The input of the master that the slave drives.
pub(super) const CASCADE: u8 = 2;
/// The input that stands for an interrupt that went away.
const SPURIOUS: u8 = 7;

/// Which initialization command word comes next at the odd port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expects {
    /// None: the mask.
    Ocw1,
    Icw2,
    Icw3,
    Icw4,
}

/// What the even port reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shows {
    Requests,
    InService,
    /// A poll: the read acknowledges.
    Poll(PolledFrom),
}

/// What the even port reads after a poll.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PolledFrom {
    Requests,
    InService,
}

/// Bits of the command words.
mod bit {
    pub(super) const ICW1: u8 = 1 << 4;
    pub(super) const ICW1_SINGLE: u8 = 1 << 1;
    pub(super) const ICW1_WITH_ICW4: u8 = 1 << 0;
    pub(super) const ICW4_FULLY_NESTED: u8 = 1 << 4;
    pub(super) const ICW4_AUTO_EOI: u8 = 1 << 1;
    pub(super) const OCW3: u8 = 1 << 3;
    pub(super) const OCW3_POLL: u8 = 1 << 2;
    pub(super) const OCW3_SHOW: u8 = 1 << 1;
    pub(super) const OCW3_IN_SERVICE: u8 = 1 << 0;
    pub(super) const OCW3_CHANGE_MASK_MODE: u8 = 1 << 6;
    pub(super) const OCW3_SPECIAL_MASK: u8 = 1 << 5;
}

/// A chip.
#[derive(Debug)]
pub(super) struct Chip {
    place: Place,
    lines: u8,
    /// Edges that were seen and not acknowledged.
    edges: u8,
    in_service: u8,
    mask: u8,
    /// `ELCR`: inputs of which the level counts.
    levels: u8,
    base: u8,
    /// The input of the highest priority.
    first: u8,
    expects: Expects,
    icw1: u8,
    icw4: u8,
    shows: Shows,
    is_special_mask: bool,
    is_rotating: bool,
}

impl Chip {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            lines: 0,
            edges: 0,
            in_service: 0,
            // What a guest has not set up does not interrupt it.
            mask: 0xff,
            levels: 0,
            base: 0,
            first: 0,
            expects: Expects::Ocw1,
            icw1: 0,
            icw4: 0,
            shows: Shows::Requests,
            is_special_mask: false,
            is_rotating: false,
        }
    }

    /// Drives an input. An edge counts only as long as the wire stays high ("Interrupt Request").
    pub(super) fn set_line(&mut self, input: u8, level: Level) {
        let bit = 1 << (input & 7);
        match level {
            Level::High => {
                self.edges |= bit & !self.lines;
                self.lines |= bit;
            }
            Level::Low => {
                self.lines &= !bit;
                self.edges &= !bit;
            }
        }
    }

    /// `IRR`.
    fn requests(&self) -> u8 {
        self.edges & !self.levels | self.lines & self.levels
    }

    /// The most urgent of `inputs`: how many are more urgent than it, and which it is.
    fn most_urgent(&self, inputs: u8) -> Option<(u32, u8)> {
        let rotated = inputs.rotate_right(u32::from(self.first));
        (rotated != 0).then(|| {
            let rank = rotated.trailing_zeros();
            (rank, (self.first + rank as u8) & 7)
        })
    }

    /// The input that interrupts, if any does.
    pub(super) fn pending(&self) -> Option<u8> {
        let (rank, input) = self.most_urgent(self.requests() & !self.mask)?;
        let mut blocking = self.in_service;
        if self.is_special_mask {
            blocking &= !self.mask;
        }
        let is_free = match self.most_urgent(blocking) {
            None => true,
            Some((served, _)) if served == rank => self.may_nest_itself(input),
            Some((served, _)) => served > rank,
        };
        is_free.then_some(input)
    }

    /// "Special Fully Nested Mode": the slave may interrupt its own service, for which it has its
    /// own priorities.
    fn may_nest_itself(&self, input: u8) -> bool {
        self.place == Place::Master && input == CASCADE && self.icw4 & bit::ICW4_FULLY_NESTED != 0
    }

    /// The interrupt acknowledge: the input that is now in service, or the spurious one, which is not.
    pub(super) fn acknowledge(&mut self) -> u8 {
        let Some(input) = self.pending() else { return SPURIOUS };
        self.serve(input);
        input
    }

    fn serve(&mut self, input: u8) {
        let bit = 1 << input;
        self.edges &= !bit;
        if self.icw4 & bit::ICW4_AUTO_EOI == 0 {
            self.in_service |= bit;
        } else if self.is_rotating {
            self.make_lowest(input);
        }
    }

    /// The vector of an input.
    pub(super) fn vector(&self, input: u8) -> u8 {
        self.base | input
    }

    fn make_lowest(&mut self, input: u8) {
        self.first = (input + 1) & 7;
    }

    pub(super) fn read_command(&mut self) -> u8 {
        match self.shows {
            Shows::Requests => self.requests(),
            Shows::InService => self.in_service,
            Shows::Poll(before) => {
                self.shows = match before {
                    PolledFrom::Requests => Shows::Requests,
                    PolledFrom::InService => Shows::InService,
                };
                self.poll()
            }
        }
    }

    /// The next read of either port answers a poll.
    /// Whether the next read is a poll, which acknowledges.
    #[inline]
    pub(super) fn is_polled(&self) -> bool {
        matches!(self.shows, Shows::Poll(_))
    }

    pub(super) fn read_mask(&mut self) -> u8 {
        match self.shows {
            Shows::Poll(_) => self.read_command(),
            Shows::Requests | Shows::InService => self.mask,
        }
    }

    fn poll(&mut self) -> u8 {
        self.pending().map_or(0, |input| {
            self.serve(input);
            0x80 | input
        })
    }

    pub(super) fn write_command(&mut self, value: u8) {
        if value & bit::ICW1 != 0 {
            self.initialize(value);
        } else if value & bit::OCW3 != 0 {
            self.write_ocw3(value);
        } else {
            self.write_ocw2(value);
        }
    }

    /// ICW1 begins anew: an input that is high has to rise again.
    fn initialize(&mut self, value: u8) {
        let (lines, levels) = (self.lines, self.levels);
        let expects = Expects::Icw2;
        *self = Self { lines, levels, mask: 0, expects, icw1: value, ..Self::new(self.place) };
    }

    pub(super) fn write_mask(&mut self, value: u8) {
        self.expects = match self.expects {
            Expects::Ocw1 => {
                self.mask = value;
                Expects::Ocw1
            }
            Expects::Icw2 => {
                self.base = value & 0xf8;
                if self.icw1 & bit::ICW1_SINGLE == 0 { Expects::Icw3 } else { self.after_icw3() }
            }
            // A PC's cascade is wired.
            Expects::Icw3 => self.after_icw3(),
            Expects::Icw4 => {
                self.icw4 = value;
                Expects::Ocw1
            }
        };
    }

    fn after_icw3(&self) -> Expects {
        if self.icw1 & bit::ICW1_WITH_ICW4 == 0 { Expects::Ocw1 } else { Expects::Icw4 }
    }

    fn write_ocw2(&mut self, value: u8) {
        let input = value & 7;
        match value >> 5 {
            0 => self.is_rotating = false,
            1 => {
                self.end_most_urgent();
            }
            3 => self.in_service &= !(1 << input),
            4 => self.is_rotating = true,
            5 => {
                if let Some(ended) = self.end_most_urgent() {
                    self.make_lowest(ended);
                }
            }
            6 => self.make_lowest(input),
            7 => {
                self.in_service &= !(1 << input);
                self.make_lowest(input);
            }
            _ => {}
        }
    }

    /// The end of interrupt that names none. In the special mask mode, masked ones are not meant.
    fn end_most_urgent(&mut self) -> Option<u8> {
        let candidates =
            if self.is_special_mask { self.in_service & !self.mask } else { self.in_service };
        let (_, input) = self.most_urgent(candidates)?;
        self.in_service &= !(1 << input);
        Some(input)
    }

    fn write_ocw3(&mut self, value: u8) {
        if value & bit::OCW3_CHANGE_MASK_MODE != 0 {
            self.is_special_mask = value & bit::OCW3_SPECIAL_MASK != 0;
        }
        let shown = match self.shows {
            Shows::Requests | Shows::Poll(PolledFrom::Requests) => PolledFrom::Requests,
            Shows::InService | Shows::Poll(PolledFrom::InService) => PolledFrom::InService,
        };
        let shown = match (value & bit::OCW3_SHOW, value & bit::OCW3_IN_SERVICE) {
            (0, _) => shown,
            (_, 0) => PolledFrom::Requests,
            (_, _) => PolledFrom::InService,
        };
        self.shows = match (value & bit::OCW3_POLL, shown) {
            (0, PolledFrom::Requests) => Shows::Requests,
            (0, PolledFrom::InService) => Shows::InService,
            (_, shown) => Shows::Poll(shown),
        };
    }

    pub(super) fn levels(&self) -> u8 {
        self.levels
    }

    pub(super) fn set_levels(&mut self, value: u8) {
        self.levels = value & self.place.level_inputs();
    }

    #[cfg(test)]
    pub(super) fn in_service(&self) -> u8 {
        self.in_service
    }
}
