//! `vm console`: the session's terminal is the VM's console.

use super::{Progress, Reader, Task};
use crate::context::{Context, Display};
use crate::error::Error;
use crate::escape_key::EscapeKey;
use crate::host::{Attendance, Cursor, VmId, VmState};
use crate::output::Column;
use crate::replay::Replay;
use crate::session::SessionId;
use crate::terminal_size::TerminalSize;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;
use serde::Serialize;

/// Bytes moved in one poll, in each direction.
const CHUNK: usize = 256;
/// How long a terminal has to say how large it is. What is typed meanwhile waits, since the answer comes among it.
const PATIENCE: Duration = Duration::from_millis(200);
/// How soon typing that the guest did not accept is tried again, unless the host calls before.
const RETRY: Duration = Duration::from_millis(20);
/// Attributes off and cursor shown (VT100 SGR, VT220 DECTCEM): guests leave with them changed.
const TIDY: &[u8] = b"\x1b[0m\x1b[?25h";

/// An attachment to a console: first its replay, then what it prints from then on.
pub(crate) struct Attach {
    vm: VmId,
    title: String,
    /// The key that leaves; a program ends its connection instead.
    key: Option<EscapeKey>,
    cursor: Cursor,
    /// What is before is replayed.
    live_from: Cursor,
    replay: Replay,
    wish: Attendance,
    /// Who types, when it was last looked at.
    holder: Option<SessionId>,
    retry_at: Option<Duration>,
    /// The size that the session knew when it was last looked at.
    size: Option<TerminalSize>,
    /// Until when the terminal may answer.
    asked_until: Option<Duration>,
}

/// Why an attachment ends.
enum Leave {
    Escape,
    Ended(VmState),
    Destroyed,
}

impl Attach {
    /// Attaches, and says how to leave.
    pub(crate) fn begin(
        context: &mut Context<'_>,
        vm: VmId,
        title: String,
        key: Option<EscapeKey>,
        wish: Attendance,
    ) -> Result<Self, Error> {
        let info = context.host.console_open(vm, context.session, wish)?;
        let is_ours = info.holder == Some(context.session);
        let note = match (context.host.vm_state(vm), info.holder) {
            (_, Some(holder)) if !is_ours => {
                format!("; you only watch, {} types", context.host.registry().title(holder))
            }
            (_, None) => "; you only watch".into(),
            (Some(VmState::Created), _) => "; it has not been started".into(),
            (Some(VmState::Paused), _) => "; it is paused".into(),
            _ => String::new(),
        };
        match (&mut context.exchange, key) {
            (Some(exchange), _) => {
                let name = context.host.vm_info(vm)?.summary.name;
                exchange.attach(document(vm, &name, if is_ours { "yours" } else { "taken" })?);
            }
            (None, Some(key)) => writeln!(context.out, "attached to {title}: {key} leaves{note}")?,
            (None, None) => writeln!(context.out, "attached to {title}{note}")?,
        }
        let is_asked = is_ours && context.display == Display::Terminal;
        if is_asked {
            // It may have changed since it was last known, which a serial port does not tell.
            context.out.control(TerminalSize::QUERY, Column::Kept);
        }
        Ok(Self {
            vm,
            title,
            key,
            cursor: Cursor::OLDEST,
            live_from: info.end,
            replay: Replay::default(),
            wish,
            holder: info.holder,
            retry_at: None,
            size: None,
            asked_until: is_asked.then(|| context.now.saturating_add(PATIENCE)),
        })
    }

    /// Tells the user who types from now on, if that has changed.
    fn follow_keyboard(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        let holder = context.host.console_holder(self.vm);
        let before = core::mem::replace(&mut self.holder, holder);
        // To a program, all bytes are the console's.
        let is_told = self.wish != Attendance::Watch && context.display != Display::Program;
        if holder == before || !is_told {
            return Ok(());
        }
        let note = match holder {
            Some(holder) if holder == context.session => {
                // Whoever typed before may have had another size.
                self.size = None;
                "you type now".into()
            }
            Some(other) if before == Some(context.session) => {
                format!(
                    "{} has taken the keyboard, you only watch",
                    context.host.registry().title(other)
                )
            }
            Some(_) | None => return Ok(()),
        };
        context.out.fresh_line();
        writeln!(context.out, "[{note}]")?;
        Ok(())
    }

    /// Tells the console how large the terminal is, when that is news. Of those who watch, only who types counts.
    fn follow_size(&mut self, context: &mut Context<'_>) {
        if self.holder != Some(context.session) {
            self.asked_until = None;
            return;
        }
        if self.size != context.size {
            self.size = context.size;
            if let Some(size) = context.size {
                context.host.console_resize(self.vm, size);
            }
        }
        let Some(until) = self.asked_until else { return };
        if let Some((row, column)) = context.input.take_report() {
            self.asked_until = None;
            if let Some(size) = TerminalSize::of_corner(row, column) {
                context.host.console_resize(self.vm, size);
            }
        } else if context.now >= until || self.escape(context.input.raw()).is_some() {
            self.asked_until = None;
        }
    }

    /// Where the key is that leaves.
    fn escape(&self, typed: &[u8]) -> Option<usize> {
        let key = self.key?.byte();
        typed.iter().position(|&byte| byte == key)
    }

    /// Types what the user typed. Answers whether that was the key that leaves.
    fn type_on(&mut self, context: &mut Context<'_>) -> (Progress, Option<Leave>) {
        if self.asked_until.is_some() {
            return (Progress::Waiting, None);
        }
        let typed = context.input.raw();
        let escape = self.escape(typed);
        let wanted = typed.get(..escape.unwrap_or(typed.len())).unwrap_or_default();
        let wanted = wanted.get(..CHUNK).unwrap_or(wanted);
        self.retry_at = None;
        if wanted.is_empty() {
            return match escape {
                Some(_) => {
                    context.input.discard(1);
                    (Progress::More, Some(Leave::Escape))
                }
                None => (Progress::Waiting, None),
            };
        }
        let accepted = if self.holder == Some(context.session) {
            context.host.console_write(self.vm, wanted)
        } else {
            wanted.len()
        };
        context.input.discard(accepted);
        match escape {
            // A guest that reads nothing must not hold its user.
            Some(escape) if accepted == 0 => {
                context.input.discard(escape + 1);
                (Progress::More, Some(Leave::Escape))
            }
            _ if accepted == 0 => {
                self.retry_at = Some(context.now.saturating_add(RETRY));
                (Progress::Waiting, None)
            }
            _ => (Progress::More, None),
        }
    }

    /// Shows what the guest printed.
    fn show(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        let mut buf = [0; CHUNK];
        let replay_left =
            usize::try_from(self.live_from.0.saturating_sub(self.cursor.0)).unwrap_or(CHUNK);
        let is_replay = replay_left > 0;
        let most = CHUNK.min(context.out.room()).min(if is_replay { replay_left } else { CHUNK });
        let Some(buf) = buf.get_mut(..most).filter(|buf| !buf.is_empty()) else {
            return Ok(Progress::Waiting);
        };
        let read = context.host.console_read(self.vm, &mut self.cursor, buf);
        if read.lost > 0 {
            context.out.fresh_line();
            writeln!(context.out, "[{} bytes of output were lost]", read.lost)?;
        }
        let bytes = buf.get(..read.bytes).unwrap_or_default();
        if is_replay {
            self.replay.filter(bytes, |bytes| context.out.raw(bytes));
        } else {
            self.replay.finish(|bytes| context.out.raw(bytes));
            context.out.raw(bytes);
        }
        if bytes.is_empty() && is_replay {
            // The replay's end was overwritten, or the host counts otherwise: live from here.
            self.live_from = self.cursor;
        }
        Ok(if bytes.is_empty() { Progress::Waiting } else { Progress::More })
    }

    fn leave(&mut self, context: &mut Context<'_>, leave: &Leave) -> Result<(), Error> {
        context.host.console_close(self.vm, context.session);
        if context.display == Display::Terminal {
            context.out.control(TIDY, Column::Kept);
        }
        context.out.fresh_line();
        let title = &self.title;
        match leave {
            Leave::Escape => writeln!(context.out, "detached from {title}")?,
            Leave::Destroyed => writeln!(context.out, "{title} was destroyed")?,
            Leave::Ended(state) => {
                let why = context.host.vm_info(self.vm).ok().and_then(|info| info.reason);
                let why = why.map_or_else(String::new, |why| format!(": {why}"));
                let more = match state {
                    VmState::Crashed => format!(" ('vm why {}' tells more)", self.vm),
                    VmState::Created
                    | VmState::Loading
                    | VmState::Running
                    | VmState::Paused
                    | VmState::Stopped => String::new(),
                };
                writeln!(context.out, "{title} {state}{why}{more}")?;
            }
        }
        Ok(())
    }
}

/// What a program is told when it is attached.
fn document(vm: VmId, name: &str, keyboard: &'static str) -> Result<String, Error> {
    #[derive(Serialize)]
    struct Attached<'a> {
        id: VmId,
        name: &'a str,
        keyboard: &'static str,
    }
    serde_json::to_string(&Attached { id: vm, name, keyboard })
        .map_err(|error| Error::new(format!("{error}")))
}

impl Task for Attach {
    fn poll(&mut self, context: &mut Context<'_>) -> Result<Progress, Error> {
        // The state goes first: what the guest printed before it ended is still shown.
        let state = context.host.vm_state(self.vm);
        self.follow_keyboard(context)?;
        self.follow_size(context);
        let (typing, mut leave) = self.type_on(context);
        let showing = if leave.is_some() { Progress::Waiting } else { self.show(context)? };
        if leave.is_none() && showing == Progress::Waiting && !context.out.is_full() {
            leave = match state {
                None => Some(Leave::Destroyed),
                Some(state) if state.has_ended() => Some(Leave::Ended(state)),
                Some(_) => None,
            };
        }
        if let Some(leave) = leave {
            self.leave(context, &leave)?;
            return Ok(Progress::Done);
        }
        let is_more = typing == Progress::More || showing == Progress::More;
        Ok(if is_more { Progress::More } else { Progress::Waiting })
    }

    fn interrupt(&mut self, context: &mut Context<'_>) {
        _ = self.leave(context, &Leave::Escape);
    }

    fn deadline(&self) -> Option<Duration> {
        self.asked_until.or(self.retry_at)
    }

    fn urgent_key(&self) -> Option<u8> {
        self.key.map(EscapeKey::byte)
    }

    fn reader(&self) -> Reader {
        Reader::Task
    }
}
