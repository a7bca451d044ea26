//! The terminal: without echo for a password, raw for a console. It is as before when the guard is dropped.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::failure::Failure;

/// Where a person is, whatever standard input is.
const TERMINAL: &str = "/dev/tty";

/// A terminal that is not as it was.
pub(crate) struct Changed {
    terminal: OwnedFd,
    before: Termios,
}

impl Changed {
    /// Every key at once, and nothing is shown; `None` if it is no terminal.
    ///
    /// # Errors
    ///
    /// If it cannot be changed.
    pub(crate) fn raw(terminal: impl AsFd) -> io::Result<Option<Self>> {
        if !termios::isatty(&terminal) {
            return Ok(None);
        }
        Self::with(terminal.as_fd().try_clone_to_owned()?, Termios::make_raw).map(Some)
    }

    fn with(terminal: OwnedFd, change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let before = termios::tcgetattr(&terminal)?;
        let mut changed = before.clone();
        change(&mut changed);
        termios::tcsetattr(&terminal, OptionalActions::Drain, &changed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = termios::tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// The terminal's columns and rows, if it is one that has them.
pub(crate) fn size(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Asks the person at the terminal for a password.
///
/// # Errors
///
/// If there is nobody.
pub(crate) fn ask_password(question: &str) -> Result<String, Failure> {
    let nobody = |_| {
        Failure::Login(
            "there is no password: --password-file, ROOST_PASSWORD, or a terminal to ask on".into(),
        )
    };
    let mut terminal = File::options().read(true).write(true).open(TERMINAL).map_err(nobody)?;
    let reader = terminal.try_clone().map_err(nobody)?;
    let silent = |modes: &mut Termios| modes.local_modes.remove(LocalModes::ECHO);
    let changed = Changed::with(reader.try_clone().map_err(nobody)?.into(), silent);
    let changed = changed.map_err(nobody)?;
    terminal.write_all(question.as_bytes()).map_err(nobody)?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).map_err(nobody)?;
    drop(changed);
    terminal.write_all(b"\n").map_err(nobody)?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}
