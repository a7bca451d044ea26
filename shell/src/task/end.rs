//! `poweroff`, `reboot` and `exit`: the last thing that a session does.

use super::{Awaits, Progress, Task};
use crate::context::{Context, Display};
use crate::error::Error;
use core::time::Duration;

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

/// How long the machine has to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits until all is said, and then for the end.
pub(crate) struct Ending {
    end: End,
    /// When it is clear that the end does not come.
    until: Option<Duration>,
}

impl Ending {
    pub(crate) fn new(end: End) -> Self {
        Self { end, until: None }
    }
}

impl Task for Ending {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        match self.until {
            Some(until) if context.now >= until => {
                return Err(Error::new("the machine is still on"));
            }
            Some(_) => return Ok(Progress::Waiting),
            // What was said last must be heard.
            None if !context.out.is_empty() => return Ok(Progress::Waiting),
            None => {}
        }
        match self.end {
            End::PowerOff => context.host.poweroff(),
            End::Reboot => context.host.reboot(),
            End::Exit(code) => context.host.exit(code),
        }?;
        if context.display == Display::Program {
            // Its answer has to be sent before the end.
            return Ok(Progress::Done);
        }
        self.until = Some(context.now.saturating_add(PATIENCE));
        Ok(Progress::Waiting)
    }

    fn deadline(&self) -> Option<Duration> {
        self.until
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
