//! `vm expect`: waits until a VM's console shows a text.

use super::{Progress, Task};
use crate::amount::Span;
use crate::context::Context;
use crate::error::Error;
use crate::host::{Cursor, VmId, VmState};
use crate::matcher::Matcher;
use alloc::format;
use alloc::string::String;
use core::time::Duration;

/// Bytes looked at in one poll.
const CHUNK: usize = 512;
/// The most that is kept of the line that the console shows last.
const LAST_LINE: usize = 80;

/// Looks for a text from where the last `vm expect` of this session has found its own.
pub(crate) struct Expect {
    vm: VmId,
    title: String,
    wanted: String,
    matcher: Matcher,
    cursor: Cursor,
    last_line: String,
    timeout: Duration,
    until: Duration,
}

impl Expect {
    /// Looks for `matcher`'s pattern, which the user wrote as `wanted`, from `cursor` on.
    pub(crate) fn new(
        (vm, title): (VmId, String),
        (wanted, matcher): (String, Matcher),
        cursor: Cursor,
        (timeout, now): (Duration, Duration),
    ) -> Self {
        let until = now.saturating_add(timeout);
        Self { vm, title, wanted, matcher, cursor, last_line: String::new(), timeout, until }
    }

    fn remember(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\n' => self.last_line.clear(),
                b' '..=b'~' if self.last_line.len() < LAST_LINE => self.last_line.push(byte.into()),
                _ => {}
            }
        }
    }

    fn failed(&self, why: &str) -> Error {
        let last = self.last_line.trim();
        let last =
            if last.is_empty() { String::new() } else { format!("; its last line is '{last}'") };
        Error::new(format!("{} {why} without showing '{}'{last}", self.title, self.wanted))
    }
}

impl Task for Expect {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        // The state goes first: what the guest printed before it ended is still looked at.
        let state = context.host.vm_state(self.vm);
        let mut buf = [0; CHUNK];
        let read = context.host.console_read(self.vm, &mut self.cursor, &mut buf);
        let bytes = buf.get(..read.bytes).unwrap_or_default();
        if let Some(used) = self.matcher.find(bytes) {
            let unused = bytes.len().saturating_sub(used) as u64;
            context.places.set(self.vm, Cursor(self.cursor.0.saturating_sub(unused)));
            return Ok(Progress::Done);
        }
        self.remember(bytes);
        if !bytes.is_empty() {
            return Ok(Progress::More);
        }
        match state {
            None => Err(self.failed("was destroyed")),
            Some(state) if state.has_ended() => Err(self.failed(state.name())),
            Some(state) if context.now >= self.until => {
                let timeout = Span(self.timeout);
                Err(self.failed(&match state {
                    VmState::Running => format!("has run for {timeout}"),
                    // Nobody started it, for one.
                    VmState::Created
                    | VmState::Loading
                    | VmState::Paused
                    | VmState::Stopped
                    | VmState::Crashed => format!("is {state} after {timeout}"),
                }))
            }
            Some(_) => Ok(Progress::Waiting),
        }
    }

    fn deadline(&self) -> Option<Duration> {
        Some(self.until)
    }
}
