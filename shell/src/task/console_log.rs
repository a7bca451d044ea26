//! `vm log`: the recent output of a VM's console.

use super::{Awaits, Progress, Task};
use crate::context::Context;
use crate::error::Error;
use crate::host::{Cursor, VmId};
use crate::replay::Replay;
use core::fmt::Write as _;

/// Bytes looked at in one poll.
const CHUNK: usize = 512;

/// What the task does at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Looks for the first of so many lines, backwards from a position.
    Find { lines: u64, before: u64 },
    /// Shows what is left.
    Show,
}

/// Prints a console's ring, or its last lines, up to its end when the command was given.
pub(crate) struct ConsoleLog {
    vm: VmId,
    cursor: Cursor,
    end: Cursor,
    phase: Phase,
    replay: Replay,
}

impl ConsoleLog {
    /// Prints the last `lines`, or all, of what was printed before `end`.
    pub(crate) fn new(vm: VmId, end: Cursor, lines: Option<u64>) -> Self {
        let phase = lines.map_or(Phase::Show, |lines| Phase::Find { lines, before: end.0 });
        Self { vm, cursor: Cursor::OLDEST, end, phase, replay: Replay::default() }
    }

    /// Looks at the bytes before `before` for the beginning of the last `lines`.
    fn find(&mut self, context: &mut Context<'_>, mut lines: u64, before: u64) {
        let mut buf = [0; CHUNK];
        let from = before.saturating_sub(CHUNK as u64);
        let mut cursor = Cursor(from);
        let read = context.host.console_read(self.vm, &mut cursor, &mut buf);
        let first = cursor.0.saturating_sub(read.bytes as u64);
        let kept = buf.get(..read.bytes).unwrap_or_default();
        for at in (first..before).rev() {
            let ends_line = kept.get((at - first) as usize) == Some(&b'\n');
            // A line begins behind a newline; the one at the very end begins none.
            if ends_line && at + 1 < self.end.0 {
                lines = lines.saturating_sub(1);
                if lines == 0 {
                    (self.cursor, self.phase) = (Cursor(at + 1), Phase::Show);
                    return;
                }
            }
        }
        if from == 0 || first > from || read.bytes == 0 {
            // There are fewer lines.
            (self.cursor, self.phase) = (Cursor(first), Phase::Show);
        } else {
            self.phase = Phase::Find { lines, before: from };
        }
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Progress {
        self.replay.finish(|bytes| context.out.raw(bytes));
        context.out.fresh_line();
        Progress::Done
    }
}

impl Task for ConsoleLog {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        if let Phase::Find { lines, before } = self.phase {
            self.find(context, lines, before);
            return Ok(Progress::More);
        }
        let left = usize::try_from(self.end.0.saturating_sub(self.cursor.0)).unwrap_or(CHUNK);
        let mut buf = [0; CHUNK];
        let most = CHUNK.min(left).min(context.out.room());
        let Some(buf) = buf.get_mut(..most) else { return Ok(Progress::Done) };
        if buf.is_empty() {
            return Ok(if left == 0 { self.finish(context) } else { Progress::Waiting });
        }
        let read = context.host.console_read(self.vm, &mut self.cursor, buf);
        if read.lost > 0 {
            // The guest has overwritten it since the command was given.
            self.replay.finish(|bytes| context.out.raw(bytes));
            context.out.fresh_line();
            writeln!(context.out, "[{} bytes of output were lost]", read.lost)?;
        }
        if read.bytes == 0 {
            return Ok(self.finish(context));
        }
        self.replay
            .filter(buf.get(..read.bytes).unwrap_or_default(), |bytes| context.out.raw(bytes));
        Ok(Progress::More)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
