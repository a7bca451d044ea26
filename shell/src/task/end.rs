//! `poweroff`, `reboot` and `exit`: the last thing that a session does.

use super::{Awaits, Progress, Task};
use crate::context::Context;
use crate::error::Error;

/// How the machine ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// It is turned off.
    PowerOff,
    /// It starts again.
    Reboot,
    /// The emulator ends with this status.
    Exit(u8),
}

impl Task for End {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        // What was said last must be heard.
        if !context.out.is_empty() {
            return Ok(Progress::Waiting);
        }
        match *self {
            Self::PowerOff => context.host.poweroff(),
            Self::Reboot => context.host.reboot(),
            Self::Exit(code) => context.host.exit(code),
        }?;
        Ok(Progress::Done)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
