//! Names of files: short ones, of 8 and 3 characters, and the long ones in front of them (page 27 and on).

use crate::{VolumeError, number};
use alloc::string::String;
use alloc::vec::Vec;

/// Units of UTF-16 in one entry, and where they are.
const UNITS: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// The most entries of a name: 255 units.
const MOST_PARTS: u8 = 20;
/// Of the entry that is stored first: the end of the name.
const LAST: u8 = 0x40;

/// A long name, whose parts are stored from its end on.
#[derive(Default)]
pub(super) struct LongName {
    /// The parts, in the order in which they are stored.
    parts: Vec<[u16; 13]>,
    /// How many more there must be.
    missing: u8,
    sum: u8,
}

impl LongName {
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.missing = 0;
    }

    /// Takes an entry that is a part of a long name.
    pub(super) fn take(&mut self, entry: &[u8]) -> Result<(), VolumeError> {
        let (order, sum) = (number::byte(entry, 0)?, number::byte(entry, 13)?);
        let place = order & !LAST;
        if order & LAST != 0 && (1..=MOST_PARTS).contains(&place) {
            self.parts.clear();
            (self.missing, self.sum) = (place, sum);
        }
        if self.missing == 0 || place != self.missing || sum != self.sum {
            self.clear();
            return Ok(());
        }
        let mut part = [0; 13];
        for (unit, at) in part.iter_mut().zip(UNITS) {
            *unit = number::half(entry, at)?;
        }
        self.parts.push(part);
        self.missing -= 1;
        Ok(())
    }

    /// The name that ends with this short entry, if it is all there and belongs to it.
    pub(super) fn finish(&mut self, entry: &[u8]) -> Result<Option<String>, VolumeError> {
        let sum = number::part(entry, 0, 11)?
            .iter()
            .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        let is_whole = self.missing == 0 && !self.parts.is_empty() && sum == self.sum;
        let units = self.parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0);
        let name: Result<String, _> = char::decode_utf16(units).collect();
        self.clear();
        Ok(name.ok().filter(|_| is_whole))
    }
}

/// The short name; in lower case, as it is shown where there are no long ones. `None` if it is not of ASCII.
pub(super) fn short(entry: &[u8]) -> Option<String> {
    let (base, extension) = (entry.get(..8)?, entry.get(8..11)?);
    let text = |bytes| Some(core::str::from_utf8(bytes).ok()?.trim_end_matches(' '));
    let (base, extension): (&str, &str) = (text(base)?, text(extension)?);
    if !base.is_ascii() || !extension.is_ascii() {
        return None;
    }
    let mut name = base.to_ascii_lowercase();
    if !extension.is_empty() {
        name.push('.');
        name.push_str(&extension.to_ascii_lowercase());
    }
    Some(name)
}
