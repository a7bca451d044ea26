//! How a clock's fields are written: binary or decimal, 24 hours or twice 12 (`DM` and `24/12` of
//! register B).

/// Hours of the afternoon, in the format of 12 hours.
const AFTERNOON: u8 = 1 << 7;

/// The format that a value of register B selects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Format(u8);

impl Format {
    const BINARY: u8 = 1 << 2;
    const HOURS_24: u8 = 1 << 1;

    pub(super) const fn of(register_b: u8) -> Self {
        Self(register_b)
    }

    pub(super) const fn encode(self, value: u8) -> u8 {
        if self.0 & Self::BINARY != 0 { value } else { ((value / 10 % 10) << 4) | (value % 10) }
    }

    pub(super) const fn decode(self, coded: u8) -> u8 {
        if self.0 & Self::BINARY != 0 { coded } else { (coded >> 4) * 10 + (coded & 0xf) }
    }

    pub(super) const fn encode_hour(self, hour: u8) -> u8 {
        if self.0 & Self::HOURS_24 != 0 {
            return self.encode(hour);
        }
        let half = match hour % 12 {
            0 => 12,
            other => other,
        };
        self.encode(half) | if hour % 24 >= 12 { AFTERNOON } else { 0 }
    }

    pub(super) const fn decode_hour(self, coded: u8) -> u8 {
        if self.0 & Self::HOURS_24 != 0 {
            return self.decode(coded);
        }
        let morning = self.decode(coded & !AFTERNOON) % 12;
        morning + if coded & AFTERNOON == 0 { 0 } else { 12 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_as_in_the_manuals_table() {
        // MC146818, table 3.
        for (register_b, coded) in [
            (0x00, [0x12, 0x01, 0x11, 0x92, 0x81, 0x91]),
            (0x02, [0x00, 0x01, 0x11, 0x12, 0x13, 0x23]),
            (0x04, [0x0c, 0x01, 0x0b, 0x8c, 0x81, 0x8b]),
            (0x06, [0x00, 0x01, 0x0b, 0x0c, 0x0d, 0x17]),
        ] {
            let format = Format::of(register_b);
            for (hour, coded) in [0, 1, 11, 12, 13, 23].into_iter().zip(coded) {
                assert_eq!(format.encode_hour(hour), coded);
                assert_eq!(format.decode_hour(coded), hour);
            }
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for (register_b, value) in (0..8).flat_map(|b| (0..100).map(move |value| (b, value))) {
            let format = Format::of(register_b);
            assert_eq!(format.decode(format.encode(value)), value);
        }
    }
}
