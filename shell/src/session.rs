//! One user's connection.
//!
//! # When to poll
//!
//! [`Session::poll`] after [`Session::input`] or [`Session::take_output`] if
//! [`Session::needs_poll`] says so, when [`Session::next_deadline`] has come, and, while
//! [`Session::waits_for_host`], whenever a console has printed, a job has progressed or a VM has
//! changed its state. Polling more often does no harm.

pub(crate) mod exchange;
pub(crate) mod input;
mod options;

pub use exchange::{LONGEST_ANSWER, Listings, Outcome};
pub use options::{Lifetime, Options, SessionId, TerminalKind};

use crate::access::{self, User};
use crate::arguments::Arguments;
use crate::command::{self, Flow, Switch};
use crate::commands;
use crate::context::{Context, Display, Places, ProgressLine, Settings};
use crate::editor::{Editor, PROMPT, Typed};
use crate::error::Error;
use crate::escape_key::EscapeKey;
use crate::host::{Host, Note};
use crate::output::Output;
use crate::program::{Origin, Policy, Program};
use crate::task::end::{End, Ending};
use crate::task::{Awaits, Progress, Reader, Task};
use crate::terminal_size::TerminalSize;
use crate::words;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt::Write;
use core::time::Duration;
use exchange::Exchange;
use input::Input;

/// Steps in one poll: a command, a piece of a console, or the keys that are there.
const STEPS: usize = 32;
/// Notices that wait to be shown; what is more is counted.
const NOTICES: usize = 8;

/// One user's connection: a state machine between bytes and a [`Host`].
pub struct Session {
    id: SessionId,
    user: User,
    terminal: TerminalKind,
    lifetime: Lifetime,
    input: Input,
    out: Output,
    editor: Editor,
    /// If a program is at the other end: then there is neither prompt nor echo, and the editor is idle.
    exchange: Option<Exchange>,
    settings: Settings,
    places: Places,
    program: Option<Program>,
    task: Option<Box<dyn Task>>,
    /// The command whose task that is, as others may read it.
    doing: String,
    notices: VecDeque<String>,
    lost_notices: u32,
    /// The last poll could have gone on.
    is_eager: bool,
    /// There was input since the last poll.
    is_fresh: bool,
    /// A task goes on when all output is taken.
    awaits_drain: bool,
    has_ended: bool,
}

impl Session {
    /// A session that shows its prompt at the first poll.
    #[must_use]
    pub fn new(id: SessionId, options: Options) -> Self {
        Self {
            id,
            user: options.user,
            terminal: options.terminal,
            lifetime: options.lifetime,
            input: Input::default(),
            out: Output::default(),
            editor: Editor::new(options.terminal, options.lifetime),
            exchange: (options.terminal == TerminalKind::Program).then(Exchange::new),
            settings: Settings { escape: EscapeKey::DEFAULT },
            places: Places::default(),
            program: None,
            task: None,
            doing: String::new(),
            notices: VecDeque::new(),
            lost_notices: 0,
            is_eager: true,
            is_fresh: false,
            awaits_drain: false,
            has_ended: false,
        }
    }

    /// Runs a script before anything is typed: a command per line, or several with `;` between.
    /// Errors name it and the line. A script that is running is replaced.
    pub fn run_script(&mut self, name: &str, text: &str) {
        self.begin(Program::new(Origin::File(name.into()), text));
    }

    /// Runs commands of a command line, with `;` between. Errors name it and count commands.
    pub fn run_commands(&mut self, name: &str, text: &str) {
        self.begin(Program::new(Origin::CommandLine(name.into()), text));
    }

    /// Runs the only command of a line, for a program: [`Session::take_outcome`] tells what came of it. Ignored before that has
    /// told of the one before, and by a session that is not of [`TerminalKind::Program`].
    pub fn execute(&mut self, line: &str, listings: Listings) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.is_idle()) else {
            return;
        };
        match exchange::only_command(line) {
            Ok(command) => {
                exchange.begin(listings);
                self.begin(Program::new(Origin::Typed, command));
            }
            Err(error) => exchange.fail(error),
        }
    }

    /// Whether [`Session::take_outcome`] has something to tell.
    #[must_use]
    pub fn has_outcome(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::has_outcome)
    }

    /// What came of the command of a program, once.
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        self.exchange.as_mut()?.take_outcome()
    }

    /// Whether a program's session is attached to a console, so that its bytes are the console's.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_attached)
    }

    /// Takes bytes from the terminal, and answers how many; the caller keeps the rest and offers
    /// it again. The key that gives up what runs (Ctrl-C, or the one that leaves a console) gets
    /// through even so, in place of all that is before it.
    pub fn input(&mut self, bytes: &[u8]) -> usize {
        let taken = self.input.push(bytes);
        let taken = match (&self.task, bytes.get(taken..)) {
            (Some(task), Some(rest)) if !rest.is_empty() => {
                let key = task.urgent_key();
                taken + key.map_or(0, |key| self.input.push_urgent(rest, key))
            }
            _ => taken,
        };
        self.is_fresh |= taken > 0;
        taken
    }

    /// How many bytes [`Session::input`] would take.
    #[must_use]
    pub fn input_room(&self) -> usize {
        self.input.room()
    }

    /// Moves bytes to the terminal into `buf`, and answers how many.
    pub fn take_output(&mut self, buf: &mut [u8]) -> usize {
        self.out.take(buf)
    }

    /// Whether there are bytes for the terminal.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// The terminal has this size: a console that it is attached to follows at once, the prompt from the next one on.
    pub fn set_size(&mut self, size: TerminalSize) {
        self.editor.set_size(size);
        self.is_eager = true;
    }

    /// Shows a line of text without being asked: above the prompt, with what was typed kept; after
    /// the guest is left, if the session is attached to one. Few such lines wait; of more, only the
    /// number is shown.
    pub fn notify(&mut self, text: &str) {
        if self.notices.len() < NOTICES {
            self.notices.push_back(text.into());
        } else {
            self.lost_notices = self.lost_notices.saturating_add(1);
        }
        self.is_eager = true;
    }

    /// Does a bounded amount of work. `now` is the time since power-on.
    pub fn poll(&mut self, host: &mut dyn Host, now: Duration) {
        self.is_fresh = false;
        self.is_eager = true;
        for _ in 0..STEPS {
            if self.out.is_full() || self.has_ended {
                break;
            }
            let progress = self.step(host, now);
            self.collect(host, now);
            if progress == Progress::Waiting {
                self.is_eager = self.out.is_full();
                break;
            }
        }
        self.awaits_drain = self.task.is_some() && !self.out.is_empty();
    }

    /// Whether a poll would do something, even if nothing changes outside.
    #[must_use]
    pub fn needs_poll(&self) -> bool {
        let can_go_on = self.is_fresh || self.is_eager;
        let has_room =
            (can_go_on && !self.out.is_full()) || (self.awaits_drain && self.out.is_empty());
        has_room && !self.has_ended
    }

    /// When to poll, if nothing happens before: a time since power-on.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        match &self.task {
            Some(task) => task.deadline(),
            None => self.editor.deadline(),
        }
    }

    /// Whether the session waits for console output, a job or a VM's state.
    #[must_use]
    pub fn waits_for_host(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.awaits() == Awaits::Host)
    }

    /// Whether a script is running: something else than the user's own commands.
    #[must_use]
    pub fn is_running_script(&self) -> bool {
        self.program.as_ref().is_some_and(|program| !program.is_typed())
    }

    /// The command that is running, as others may read it.
    #[must_use]
    pub fn doing(&self) -> Option<&str> {
        self.task.as_ref().map(|_| self.doing.as_str())
    }

    /// Whether the session is over: nothing happens in it any more, but its output may wait.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Ends the session: gives up what runs, and lets go of what it holds.
    pub fn close(&mut self, host: &mut dyn Host, now: Duration) {
        self.has_ended = true;
        if let Some(mut task) = self.task.take() {
            task.interrupt(&mut self.context(host, now));
        }
    }

    #[cfg(test)]
    pub(crate) fn display(&self) -> Display {
        self.editor.display()
    }

    #[cfg(test)]
    pub(crate) fn line(&self) -> (&str, &str) {
        self.editor.line()
    }

    #[cfg(test)]
    pub(crate) fn output_len(&self) -> usize {
        self.out.len()
    }

    #[cfg(test)]
    pub(crate) fn history_lines(&self) -> alloc::vec::Vec<&str> {
        self.editor.history().numbered().map(|(_, line)| line).collect()
    }

    fn begin(&mut self, program: Program) {
        self.program = Some(program);
        self.is_eager = true;
    }

    fn step(&mut self, host: &mut dyn Host, now: Duration) -> Progress {
        let is_raw = self.task.as_ref().is_some_and(|task| task.reader() == Reader::Task);
        let has_screen = self.exchange.is_none() && !is_raw;
        if has_screen && let Some(notice) = self.next_notice() {
            self.editor.hide(&mut self.out);
            _ = writeln!(self.out, "{notice}");
            return Progress::More;
        }
        let is_busy = self.task.is_some() || self.is_running_script();
        if is_busy && !is_raw && self.input.take_interrupt() {
            self.interrupt(host, now);
            return Progress::More;
        }
        if let Some(task) = self.task.take() {
            return self.poll_task(task, host, now);
        }
        if let Some(program) = &mut self.program {
            match program.next() {
                None => self.program = None,
                Some(Err(error)) => self.fail(&error),
                Some(Ok(command)) => self.run(&command, host, now),
            }
            return Progress::More;
        }
        if let Some(exchange) = &mut self.exchange {
            if !exchange.is_idle() {
                exchange.finish();
            }
            return Progress::Waiting;
        }
        if self.lifetime == Lifetime::Script {
            self.has_ended = true;
            return Progress::Waiting;
        }
        match self.editor.poll(&mut self.input, &mut self.out, (host, &self.user), now) {
            None => return Progress::Waiting,
            Some(Typed::Nothing) => {}
            Some(Typed::Line(line)) => self.program = Some(Program::new(Origin::Typed, &line)),
            Some(Typed::TooLong) => {
                self.fail(&Error::new(
                    "the line is too long, and was not run: 1000 bytes are the most",
                ));
            }
        }
        Progress::More
    }

    /// Keeps what a command has said to a program until it is done.
    fn collect(&mut self, host: &mut dyn Host, now: Duration) {
        let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.is_running()) else {
            return;
        };
        if exchange.collect(&mut self.out) {
            return;
        }
        if let Some(mut task) = self.task.take() {
            task.interrupt(&mut self.context(host, now));
        }
        self.program = None;
        self.out.clear();
        if let Some(exchange) = &mut self.exchange {
            exchange.fail(exchange::too_long());
        }
    }

    fn next_notice(&mut self) -> Option<String> {
        self.notices.pop_front().or_else(|| {
            let lost = core::mem::take(&mut self.lost_notices);
            (lost > 0).then(|| alloc::format!("[{lost} more messages]"))
        })
    }

    fn poll_task(
        &mut self,
        mut task: Box<dyn Task>,
        host: &mut dyn Host,
        now: Duration,
    ) -> Progress {
        match task.poll(&mut self.context(host, now)) {
            Ok(Progress::Done) => {}
            Ok(progress) => {
                self.task = Some(task);
                return progress;
            }
            Err(error) => self.fail(&error),
        }
        Progress::More
    }

    fn interrupt(&mut self, host: &mut dyn Host, now: Duration) {
        if let Some(mut task) = self.task.take() {
            task.interrupt(&mut self.context(host, now));
        }
        // A progress line has been erased by now.
        self.out.fresh_line();
        let place = self.program.take().map_or_else(String::new, |program| program.place());
        _ = if place.is_empty() {
            writeln!(self.out, "^C")
        } else {
            writeln!(self.out, "^C\n{place}interrupted")
        };
    }

    fn run(&mut self, command: &str, host: &mut dyn Host, now: Duration) {
        if self.is_running_script() {
            // As if it were typed.
            self.editor.hide(&mut self.out);
            _ = writeln!(self.out, "{PROMPT}{command}");
        }
        match start(command, &mut self.context(host, now)) {
            Ok((Flow::Done, _)) => {}
            Ok((Flow::Wait(task), text)) => {
                self.task = Some(task);
                self.doing = text;
            }
            Ok((Flow::Logout, _)) => self.has_ended = true,
            Err(error) => self.fail(&error),
        }
    }

    /// Says what went wrong, and does with the rest of the program what was ordered.
    fn fail(&mut self, error: &Error) {
        if let Some(exchange) = self.exchange.as_mut().filter(|exchange| exchange.is_running()) {
            self.program = None;
            self.out.clear();
            exchange.fail(error.clone());
            return;
        }
        let place = self.program.as_ref().map_or_else(String::new, Program::place);
        self.out.fresh_line();
        _ = writeln!(self.out, "{place}error: {error}");
        let policy = self.program.as_ref().map_or(Policy::Stop, |program| program.policy);
        match policy {
            Policy::Continue => return,
            Policy::Stop => {}
            Policy::Exit(code) => self.task = Some(Box::new(Ending::new(End::Exit(code)))),
        }
        self.program = None;
    }

    fn context<'a>(&'a mut self, host: &'a mut dyn Host, now: Duration) -> Context<'a> {
        let display = match self.exchange {
            Some(_) => Display::Program,
            None => self.editor.display(),
        };
        let script = self.program.as_mut().filter(|program| !program.is_typed());
        let is_watched = display == Display::Terminal && script.is_none();
        Context {
            host,
            out: &mut self.out,
            input: &mut self.input,
            now,
            session: self.id,
            user: &self.user,
            lifetime: self.lifetime,
            settings: &mut self.settings,
            places: &mut self.places,
            history: self.editor.history(),
            terminal: self.terminal,
            display,
            size: self.editor.size(),
            progress_line: if is_watched { ProgressLine::Rewritten } else { ProgressLine::Silent },
            policy: script.map(|program| &mut program.policy),
            exchange: self.exchange.as_mut(),
        }
    }
}

/// Runs one command until it is done or has to wait, if the user may; answers also with the command as others may read it.
fn start(command: &str, context: &mut Context<'_>) -> Result<(Flow, String), Error> {
    let words = words::split(command)?;
    let Some((found, used)) = command::find(&words) else {
        // `--help` explains a group, too.
        return Err(command::unknown(&words));
    };
    let words = words.get(used..).unwrap_or_default();
    if words.first().is_some_and(|word| word == "--help") {
        commands::explain(context.out, found)?;
        return Ok((Flow::Done, String::new()));
    }
    let mut arguments = match Arguments::parse(found, words) {
        Ok(arguments) => arguments,
        // Who has begun a command and does not know how it goes on.
        Err(_) if words.iter().any(|word| word == "--help") => {
            commands::explain(context.out, found)?;
            return Ok((Flow::Done, String::new()));
        }
        Err(error) => return Err(error),
    };
    if let Some(exchange) = &mut context.exchange {
        if exchange.listings() == Listings::Json
            && let Some(json) = found.switch(Switch::JSON.name)
        {
            arguments.imply(json);
        }
        exchange.answers(arguments.format());
    }
    let text = access::public(found, &arguments, context.host);
    match access::check(found, &arguments, context.user, context.host) {
        Ok(()) if found.needs.is_for_changes() => {
            context.host.registry_mut().note(context.session, Note::Command(&text));
        }
        Ok(()) => {}
        Err(error) => {
            if matches!(error, Error::Forbidden(_)) {
                context.host.registry_mut().note(context.session, Note::Refused(&text));
            }
            return Err(error);
        }
    }
    Ok(((found.run)(context, &arguments)?, text))
}

#[cfg(test)]
mod tests;
