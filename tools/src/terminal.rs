//! A machine's serial port on this terminal, with QEMU's keys: Ctrl-A x leaves, Ctrl-A Ctrl-A types one.

use std::io::{self, IsTerminal as _, Read, Write};
use std::process::{Command, Stdio};

use crate::Error;

const CTRL_A: u8 = 1;
/// The end of a console that is remembered.
const TAIL_BYTES: usize = 4096;

/// What keys say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keys {
    /// These bytes are for the machine.
    Type(Vec<u8>),
    /// These, and then the person wants to leave.
    Leave(Vec<u8>),
}

/// Tells keys for the machine from keys for us.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFilter {
    is_escaped: bool,
}

impl KeyFilter {
    /// What these bytes, behind those before, say.
    pub fn filter(&mut self, bytes: &[u8]) -> Keys {
        let mut out = Vec::new();
        for &byte in bytes {
            match (self.is_escaped, byte) {
                (false, CTRL_A) => self.is_escaped = true,
                (false, _) => out.push(byte),
                (true, b'x') => return Keys::Leave(out),
                (true, CTRL_A) => {
                    out.push(CTRL_A);
                    self.is_escaped = false;
                }
                (true, _) => self.is_escaped = false,
            }
        }
        Keys::Type(out)
    }
}

/// The terminal, which hands on each key at once. It is as before when this is dropped.
#[derive(Debug)]
pub struct RawTerminal {
    before: String,
}

impl RawTerminal {
    /// Takes the terminal, if standard input is one.
    ///
    /// # Errors
    /// When `stty` does not work.
    pub fn take() -> Result<Option<Self>, Error> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = stty(&["-g"])?.trim().to_owned();
        let terminal = Self { before };
        stty(&["raw", "-echo"])?;
        Ok(Some(terminal))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = stty(&[&self.before]);
    }
}

fn stty(arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new("stty").args(arguments).stdin(Stdio::inherit()).output();
    match output {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => Err(Error::new(format!("stty: {}", output.status))),
        Err(error) => Err(Error::io("stty", &error)),
    }
}

/// Copies what a machine says to standard output until it ends, and returns the end of it.
///
/// # Errors
/// When standard output cannot be written.
pub fn show(mut machine: impl Read) -> Result<String, Error> {
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    let mut out = io::stdout();
    while let Ok(length @ 1..) = machine.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|e| Error::io("standard output", &e))?;
        tail.extend_from_slice(bytes);
        let surplus = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
    }
    Ok(String::from_utf8_lossy(&tail).into_owned())
}

/// Hands standard input on to a machine, until it ends or the person leaves; then calls `leave`.
pub fn type_on(mut machine: impl Write, leave: impl FnOnce()) {
    let mut filter = KeyFilter::default();
    let mut buffer = [0; 256];
    while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
        let keys = filter.filter(buffer.get(..length).unwrap_or_default());
        let (Keys::Type(bytes) | Keys::Leave(bytes)) = &keys;
        if machine.write_all(bytes).is_err() {
            return;
        }
        if let Keys::Leave(_) = keys {
            return leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyFilter, Keys};

    #[test]
    fn keys_pass_but_for_those_behind_ctrl_a() {
        let mut filter = KeyFilter::default();
        assert_eq!(filter.filter(b"ls\r\x03"), Keys::Type(b"ls\r\x03".to_vec()));
        assert_eq!(filter.filter(b"a\x01"), Keys::Type(b"a".to_vec()));
        assert_eq!(filter.filter(b"\x01x"), Keys::Type(b"\x01x".to_vec()));
        assert_eq!(filter.filter(b"b\x01xc"), Keys::Leave(b"b".to_vec()));
    }
}
