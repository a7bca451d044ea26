//! An emulator that runs: a process with a serial port.

use std::process::{Child, Command, Stdio};

use xtask::bochs::{self, Running, Verdict};

use crate::serial::Serial;

/// What an emulator's exit status means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// It is Roost's own.
    Plain,
    /// Its device for ending it makes 2n + 1 of Roost's n.
    Doubled,
}

/// An emulator. It is killed when this is dropped.
pub(crate) enum Emulator {
    /// QEMU.
    Qemu(Child, Status),
    /// Bochs, which has no status: Roost prints it.
    Bochs(Running),
}

impl Emulator {
    /// Starts QEMU with this command, which has its serial port on standard input and output.
    pub(crate) fn qemu(mut command: Command, status: Status) -> (Self, Serial) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                panic!("{}: {error}; `make setup` installs it", command.get_program().display())
            }
        };
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("QEMU has no pipes");
        };
        (Self::Qemu(child, status), Serial::new(output, input))
    }

    /// Roost's exit status, if the emulator has ended.
    pub(crate) fn try_status(&mut self, serial: &Serial) -> Option<i32> {
        match self {
            Self::Qemu(child, status) => match child.try_wait() {
                Ok(ended) => {
                    let code = ended?.code().unwrap_or(-1);
                    let is_doubled = *status == Status::Doubled && code > 1 && code % 2 == 1;
                    Some(if is_doubled { code / 2 } else { code })
                }
                Err(error) => serial.fail(&format!("QEMU: {error}")),
            },
            Self::Bochs(running) => match running.try_wait() {
                Ok(verdict) => match (verdict?, bochs::exit_status(&serial.transcript())) {
                    (_, Some(status)) => Some(status),
                    (Verdict::Off, None) => Some(0),
                    (Verdict::Failed(why), None) => serial.fail(&format!("Bochs: {why}")),
                },
                Err(error) => serial.fail(&format!("{error}")),
            },
        }
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Qemu(child, _) => {
                // Whether it is there any more does not matter here.
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Bochs(running) => running.kill(),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}
