//! A VM's console on this terminal.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::client::Client;
use crate::failure::Failure;
use crate::terminal::Changed;

/// Attributes off and cursor shown (VT100 SGR, VT220 DECTCEM): guests leave with them changed.
const TIDY: &[u8] = b"\x1b[0m\x1b[?25h";

/// Where keys come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Keys {
    /// Standard input, a terminal or not.
    StandardInput,
    /// Nobody types.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests have no keyboard"))]
    Nothing,
}

/// Shows the console, and types there what is typed here, until somebody has enough.
///
/// # Errors
///
/// If the connection is lost.
pub(crate) fn show(
    client: Client,
    about: &Value,
    (keys, escape): (Keys, u8),
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), Failure> {
    let raw = match keys {
        Keys::StandardInput => Changed::raw(io::stdin()),
        Keys::Nothing => Ok(None),
    };
    let raw = raw.map_err(|error| Failure::Usage(format!("the terminal: {error}")))?;
    let title = title(about);
    let end = if raw.is_some() { "\r\n" } else { "\n" };
    let watches =
        about.get("keyboard").and_then(Value::as_str).is_some_and(|whose| whose != "yours");
    let note = if watches { "; you only watch" } else { "" };
    let key = char::from(escape + b'@');
    // Whoever does not see notes sees the console.
    let _ = write!(notes, "attached to {title}: Ctrl-{key} leaves{note}{end}");
    let (stream, first) = client.into_console();
    let has_left = Arc::new(AtomicBool::new(false));
    let typist = stream.try_clone().map_err(|error| Failure::Connection(error.to_string()))?;
    let typist_left = Arc::clone(&has_left);
    if keys == Keys::StandardInput {
        // It ends with the process: a read from the terminal cannot be given up.
        thread::spawn(move || type_all(&mut io::stdin(), typist, escape, &typist_left));
    }
    let shown = copy(stream, &first, out);
    let has_left = has_left.load(Ordering::Acquire);
    if raw.is_some() {
        let _ = out.write_all(TIDY).and_then(|()| out.flush());
    }
    drop(raw);
    if has_left {
        let _ = writeln!(notes, "\ndetached from {title}");
        return Ok(());
    }
    shown.map_err(|error| Failure::Connection(format!("the connection is lost: {error}")))
}

fn title(about: &Value) -> String {
    let id = about.get("id").and_then(Value::as_u64).unwrap_or(0);
    format!("vm {id} '{}'", about.get("name").and_then(Value::as_str).unwrap_or("?"))
}

/// Sends keys up to the one that leaves, which ends the connection. The end of a file does not: the console goes on.
fn type_all(keys: &mut impl Read, mut stream: TcpStream, escape: u8, has_left: &AtomicBool) {
    let mut buf = [0; 1024];
    while let Ok(count @ 1..) = keys.read(&mut buf) {
        let typed = buf.get(..count).unwrap_or_default();
        let end = typed.iter().position(|byte| *byte == escape);
        let wanted = typed.get(..end.unwrap_or(count)).unwrap_or_default();
        if stream.write_all(wanted).is_err() {
            return;
        }
        if end.is_some() {
            has_left.store(true, Ordering::Release);
            // It fails only if the connection is gone, which is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn copy(mut stream: TcpStream, first: &[u8], out: &mut dyn Write) -> io::Result<()> {
    out.write_all(first)?;
    out.flush()?;
    let mut buf = [0; 4096];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            count => out.write_all(buf.get(..count).unwrap_or_default())?,
        }
        out.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn keys_are_typed_up_to_the_one_that_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut guest, _) = listener.accept().unwrap();
        let has_left = AtomicBool::new(false);
        type_all(&mut &b"ls\r\x03\x1drest"[..], stream, 0x1d, &has_left);
        assert!(has_left.load(Ordering::Acquire));
        let mut typed = Vec::new();
        guest.read_to_end(&mut typed).unwrap();
        assert_eq!(typed, b"ls\r\x03");
    }
}
