//! A password as the host's configuration has it: asked for twice without being shown, and hashed.

use std::fs::File;
use std::io::{self, Read, Write};

use net::login::{Cost, Hasher, PasswordHash, Progress, SALT_BYTES};

use crate::Error;
use crate::terminal::RawTerminal;

/// The fewest and the most bytes, as of the shell's `passwd`.
const SHORTEST: usize = 8;
const LONGEST: usize = 128;
/// Blocks that are hashed at once; here nobody waits for anything else.
const BLOCKS: usize = 1 << 16;

/// Asks on this terminal, or reads two lines of standard input if that is none; the hash as Argon2id's PHC string (RFC 9106).
///
/// # Errors
/// The two are not the same, or cannot be a password; or there is nobody to answer.
pub fn ask() -> Result<String, Error> {
    let terminal = RawTerminal::take()?;
    let mut lines = Lines { input: io::stdin().lock(), is_terminal: terminal.is_some() };
    let password = lines.ask("new password: ")?;
    let again = lines.ask("again: ")?;
    drop(terminal);
    check(&password, &again)?;
    hash(&password, &salt()?)
}

struct Lines<R> {
    input: R,
    is_terminal: bool,
}

impl<R: Read> Lines<R> {
    fn ask(&mut self, question: &str) -> Result<Vec<u8>, Error> {
        if self.is_terminal {
            eprint!("{question}");
            let _ = io::stderr().flush();
        }
        let answer = self.line();
        if self.is_terminal {
            eprint!("\r\n");
        }
        answer
    }

    /// A line, as a raw terminal sends it.
    fn line(&mut self) -> Result<Vec<u8>, Error> {
        const CONTROL_C: u8 = 3;
        const BACKSPACE: u8 = 8;
        const CONTROL_U: u8 = 21;
        const DELETE: u8 = 127;
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            let count = self.input.read(&mut byte).map_err(|e| Error::io("standard input", &e))?;
            match byte[0] {
                _ if count == 0 => return Err(Error::new("nobody answers")),
                CONTROL_C => return Err(Error::new("given up")),
                b'\r' | b'\n' => return Ok(line),
                BACKSPACE | DELETE => _ = line.pop(),
                CONTROL_U => line.clear(),
                // What nobody could type at a login.
                0..=31 => {}
                byte => line.push(byte),
            }
        }
    }
}

fn check(password: &[u8], again: &[u8]) -> Result<(), Error> {
    if password != again {
        return Err(Error::new("the two are not the same"));
    }
    if !(SHORTEST..=LONGEST).contains(&password.len()) {
        let count = password.len();
        return Err(Error::new(format!(
            "a password has {SHORTEST} to {LONGEST} bytes; this one has {count}"
        )));
    }
    Ok(())
}

fn salt() -> Result<[u8; SALT_BYTES], Error> {
    let mut salt = [0; SALT_BYTES];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut salt));
    read.map_err(|e| Error::io("/dev/urandom", &e))?;
    Ok(salt)
}

fn hash(password: &[u8], salt: &[u8; SALT_BYTES]) -> Result<String, Error> {
    let hasher = Hasher::new(password, salt, Cost::DEFAULT);
    let mut hasher = hasher.map_err(|_| Error::new("there is not enough memory"))?;
    loop {
        if let Progress::Done(tag) = hasher.step(BLOCKS) {
            return Ok(PasswordHash::new(Cost::DEFAULT, *salt, tag).text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> Lines<&[u8]> {
        Lines { input, is_terminal: false }
    }

    #[test]
    fn keys_that_delete_do() {
        assert_eq!(lines(b"ax\x7fb\x15secr\x08\x08cret\r").line().unwrap(), b"secret");
        assert!(lines(b"secret\x03\r").line().is_err());
        assert!(lines(b"secret").line().is_err());
    }

    #[test]
    fn only_what_was_typed_twice_and_is_long_enough_is_taken() {
        assert!(check(b"long enough", b"long enough").is_ok());
        assert!(check(b"long enough", b"long enouhg").is_err());
        assert!(check(b"short", b"short").is_err());
    }

    #[test]
    fn the_hash_is_one_that_roost_takes() {
        let text = hash(b"long enough", &[7; SALT_BYTES]).unwrap();
        let parsed = PasswordHash::parse(&text).unwrap();
        assert_eq!((parsed.cost(), parsed.salt()), (Cost::DEFAULT, &[7; SALT_BYTES][..]));
    }
}
