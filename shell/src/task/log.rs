//! `log show`: Roost's own log.

use super::{Awaits, Progress, Task};
use crate::access::Role;
use crate::amount::Stamp;
use crate::arguments::Format;
use crate::context::Context;
use crate::error::Error;
use core::fmt::Write;
use core::time::Duration;

/// Lines shown in one poll.
const BATCH: usize = 8;
/// Whose lines tell what `audit` does, and are for those who may give that.
const AUDIT: &str = "audit";

/// Prints lines of the log, up to its end when the command was given.
pub(crate) struct Log {
    next: u64,
    end: u64,
    format: Format,
    /// Nothing was printed yet.
    is_first: bool,
}

impl Log {
    /// Prints the lines from number `next` on that are before number `end`.
    pub(crate) fn new(next: u64, end: u64, format: Format) -> Self {
        Self { next, end, format, is_first: true }
    }
}

impl Task for Log {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        if context.out.is_full() {
            return Ok(Progress::Waiting);
        }
        let mut lines = context.host.log_lines(self.next, BATCH);
        lines.retain(|line| line.sequence >= self.next && line.sequence < self.end);
        for line in &lines {
            self.next = line.sequence.saturating_add(1);
            if line.target == AUDIT && context.user.role < Some(Role::Admin) {
                continue;
            }
            match self.format {
                Format::Text => {
                    let stamp = Stamp(Duration::from_nanos(line.time_ns));
                    writeln!(
                        context.out,
                        "{stamp} {:5} {}: {}",
                        line.level, line.target, line.text
                    )?;
                }
                Format::Json => {
                    context.out.write_str(if self.is_first { "[" } else { "," })?;
                    let json = serde_json::to_string(line)
                        .map_err(|error| Error::new(alloc::format!("{error}")))?;
                    context.out.write_str(&json)?;
                }
            }
            self.is_first = false;
        }
        if !lines.is_empty() {
            return Ok(Progress::More);
        }
        if self.format == Format::Json {
            context.out.write_str(if self.is_first { "[]\n" } else { "]\n" })?;
        }
        Ok(Progress::Done)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
