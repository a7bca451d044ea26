//! The key that leaves a VM's console.

use crate::error::Error;
use alloc::format;
use core::fmt;

/// A control key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EscapeKey(u8);

impl EscapeKey {
    /// Ctrl-\: shells, editors and pagers in guests have no use for it.
    pub(crate) const DEFAULT: Self = Self(0x1c);

    /// Reads `^X`.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why| Error::new(format!("'{text}' cannot leave a console: {why}"));
        let &[b'^', key] = text.as_bytes() else {
            return Err(wrong(r"write a control key as ^ and a letter, such as ^] or ^A"));
        };
        match key.to_ascii_uppercase() {
            b'M' | b'J' => Err(wrong("it is the Enter key")),
            b'[' => Err(wrong("arrow and function keys begin with it")),
            key @ (b'A'..=b'Z' | b'\\' | b']' | b'^' | b'_') => Ok(Self(key & 0x1f)),
            _ => Err(wrong("a control key is ^A to ^Z, ^\\, ^], ^^ or ^_")),
        }
    }

    /// The byte that the key sends.
    pub(crate) const fn byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for EscapeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctrl-{}", char::from(self.0 | 0x40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_keys_are_read_and_shown() {
        for (text, byte, shown) in
            [(r"^\", 0x1c, r"Ctrl-\"), ("^a", 1, "Ctrl-A"), ("^]", 0x1d, "Ctrl-]")]
        {
            let key = EscapeKey::parse(text).unwrap();
            assert_eq!((key.byte(), key.to_string().as_str()), (byte, shown));
        }
        assert_eq!(EscapeKey::DEFAULT, EscapeKey::parse(r"^\").unwrap());
    }

    #[test]
    fn keys_that_a_guest_cannot_miss_are_refused() {
        for bad in ["^M", "^j", "^[", "x", "^", "^^^", "", "^é", "^1"] {
            assert!(EscapeKey::parse(bad).is_err(), "{bad}");
        }
    }
}
