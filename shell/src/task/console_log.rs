//! `vm log`: the recent output of a VM's console.

use super::{Awaits, Progress, Task};
use crate::context::Context;
use crate::error::Error;
use crate::host::{Cursor, VmId};
use crate::replay::Replay;

/// Bytes looked at in one poll.
const CHUNK: usize = 512;

/// What the task does at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Counts the lines, to know which is the first to show.
    Count,
    /// Shows what is left after skipping so many lines.
    Show { skip: u64 },
}

/// Prints a console's ring, or its last lines, up to its end when the command was given.
pub(crate) struct ConsoleLog {
    vm: VmId,
    cursor: Cursor,
    end: Cursor,
    lines: Option<u64>,
    line_ends: u64,
    last_byte: u8,
    phase: Phase,
    replay: Replay,
}

impl ConsoleLog {
    /// Prints the last `lines`, or all, of what was printed before `end`.
    pub(crate) fn new(vm: VmId, end: Cursor, lines: Option<u64>) -> Self {
        let phase = if lines.is_some() { Phase::Count } else { Phase::Show { skip: 0 } };
        Self {
            vm,
            cursor: Cursor::OLDEST,
            end,
            lines,
            line_ends: 0,
            last_byte: b'\n',
            phase,
            replay: Replay::default(),
        }
    }

    fn finish(&mut self, context: &mut Context<'_>) -> Progress {
        match self.phase {
            Phase::Count => {
                let unfinished = u64::from(self.last_byte != b'\n');
                let skip = (self.line_ends + unfinished).saturating_sub(self.lines.unwrap_or(0));
                self.phase = Phase::Show { skip };
                self.cursor = Cursor::OLDEST;
                Progress::More
            }
            Phase::Show { .. } => {
                self.replay.finish(|bytes| context.out.raw(bytes));
                context.out.fresh_line();
                Progress::Done
            }
        }
    }

    fn take(&mut self, context: &mut Context<'_>, mut bytes: &[u8]) {
        match &mut self.phase {
            Phase::Count => {
                self.line_ends += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
                self.last_byte = bytes.last().copied().unwrap_or(self.last_byte);
            }
            Phase::Show { skip } => {
                while *skip > 0 && !bytes.is_empty() {
                    match bytes.iter().position(|&byte| byte == b'\n') {
                        Some(end) => {
                            *skip -= 1;
                            bytes = bytes.get(end + 1..).unwrap_or_default();
                        }
                        None => bytes = &[],
                    }
                }
                self.replay.filter(bytes, |bytes| context.out.raw(bytes));
            }
        }
    }
}

impl Task for ConsoleLog {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let left = usize::try_from(self.end.0.saturating_sub(self.cursor.0)).unwrap_or(CHUNK);
        let room = if self.phase == Phase::Count { CHUNK } else { context.out.room() };
        let mut buf = [0; CHUNK];
        let Some(buf) = buf.get_mut(..CHUNK.min(left).min(room)) else { return Ok(Progress::Done) };
        if buf.is_empty() {
            return Ok(if left == 0 { self.finish(context) } else { Progress::Waiting });
        }
        let read = context.host.console_read(self.vm, &mut self.cursor, buf);
        if read.bytes == 0 {
            return Ok(self.finish(context));
        }
        let bytes = buf.get(..read.bytes).unwrap_or_default();
        self.take(context, bytes);
        Ok(Progress::More)
    }

    fn awaits(&self) -> Awaits {
        Awaits::Nothing
    }
}
