//! Text with escapes, for what is typed on a guest's console or looked for there.

use crate::error::Error;
use alloc::format;
use alloc::vec::Vec;

/// The bytes that `text` stands for: `\n`, `\r`, `\t`, `\e`, `\\` and `\xNN` are escapes.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'e') => 0x1b,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let high = rest.next().and_then(hex_digit);
                let low = rest.next().and_then(hex_digit);
                match (high, low) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err(wrong(text)),
                }
            }
            _ => return Err(wrong(text)),
        });
    }
    Ok(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn wrong(text: &str) -> Error {
    Error::new(format!(r"unknown escape in '{text}': \n, \r, \t, \e, \\ and \xNN are known"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(bytes(r"ls\r\n\t\e\\\x03é").unwrap(), b"ls\r\n\t\x1b\\\x03\xc3\xa9");
    }

    #[test]
    fn an_unknown_escape_is_an_error() {
        for bad in [r"\q", r"\", r"\x", r"\x1", r"\xg0", r"\é"] {
            assert!(bytes(bad).unwrap_err().to_string().contains("unknown escape"), "{bad}");
        }
    }
}
