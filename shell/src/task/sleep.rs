//! `sleep`: waits for time to pass.

use super::{Awaits, Progress, Task};
use crate::context::Context;
use crate::error::Error;
use core::time::Duration;

/// Waits until a point in time since power-on.
pub(crate) struct Sleep {
    pub(crate) until: Duration,
}

impl Task for Sleep {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        Ok(if context.now >= self.until { Progress::Done } else { Progress::Waiting })
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.until)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
