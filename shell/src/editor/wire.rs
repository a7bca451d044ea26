//! noline, behind a wire on which nothing hostile travels.
//!
//! noline asks its terminal for size and cursor before each line, and panics on answers that make
//! no sense and on keys that come before the answers. Here it talks to a [`Wire`] instead of a
//! terminal: the questions are answered at once and by us, keys wait until they are answered, and
//! only keys that [`Editor`](super::Editor) has decoded and chosen are sent at all. Its history is
//! not used: ours also brings back the line that was begun.
//!
//! noline's editor is a future. Ours polls it whenever there is a key; it is never woken.

use super::line::LONGEST;
use super::screen::Screen;
use crate::output::Output;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::convert::Infallible;
use core::future::{Future, pending, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use embedded_io_async::{ErrorType, Read, Write};
use noline::builder::EditorBuilder;
use spin::mutex::SpinMutex;

/// More rows than a line can fill, so that noline never scrolls: 1,000 characters in the least
/// number of columns, and the prompt.
const ROWS: usize = 1000;
/// The fewest columns with which noline is used.
pub(super) const LEAST_COLUMNS: usize = 20;
/// The most that a terminal is believed to have; noline counts to 9,999.
pub(super) const MOST_COLUMNS: usize = 1000;
/// noline takes no key while so many bytes of its output wait.
const FULL: usize = 512;

const _: () = assert!(ROWS > (LONGEST + super::PROMPT.len()) / LEAST_COLUMNS + 2);

/// How a line ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// With Enter; this is what is on the screen.
    Line(String),
    /// It was given up.
    Aborted,
}

/// Where noline is in a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// No line is wanted.
    Idle,
    /// A line is wanted.
    Wanted,
    /// It is about to ask for the terminal's size.
    Size,
    /// It is about to ask where the cursor is.
    Position,
    /// It takes keys.
    Keys,
}

/// Whether noline's output is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sound {
    On,
    Muted,
}

struct State {
    phase: Phase,
    columns: usize,
    /// Our answers to noline's questions, which go before keys.
    answers: VecDeque<u8>,
    keys: VecDeque<u8>,
    screen: Screen,
    sound: Sound,
    outcome: Option<Outcome>,
}

impl State {
    fn next_byte(&mut self) -> Option<u8> {
        if let Some(byte) = self.answers.pop_front() {
            return Some(byte);
        }
        let may_type = self.phase == Phase::Keys && self.screen.out.len() < FULL;
        if may_type { self.keys.pop_front() } else { None }
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.screen.write(byte).is_some() {
                self.answer();
            }
        }
        if self.sound == Sound::Muted {
            self.screen.out.clear();
        }
    }

    fn answer(&mut self) {
        let (row, column) = match self.phase {
            Phase::Size => (ROWS, self.columns),
            Phase::Position => (1, super::PROMPT.len() + 1),
            // It never asks then; were it to, no answer is safer than a wrong one.
            Phase::Idle | Phase::Wanted | Phase::Keys => return,
        };
        self.phase = if self.phase == Phase::Size { Phase::Position } else { Phase::Keys };
        self.answers.extend(format!("\x1b[{row};{column}R").as_bytes());
    }
}

/// noline's end of the wire. The lock is never contended: both ends are polled by one session.
#[derive(Clone)]
struct Wire(Arc<SpinMutex<State>>);

impl ErrorType for Wire {
    type Error = Infallible;
}

impl Read for Wire {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Infallible> {
        let Some(slot) = buf.first_mut() else { return Ok(0) };
        *slot = poll_fn(|_| self.0.lock().next_byte().map_or(Poll::Pending, Poll::Ready)).await;
        Ok(1)
    }
}

impl Write for Wire {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, Infallible> {
        self.0.lock().write(buf);
        Ok(buf.len())
    }
}

/// Reads lines for ever.
async fn edit(mut wire: Wire) {
    let mut storage = [0; LONGEST];
    let builder = EditorBuilder::from_slice(&mut storage);
    // It cannot fail; were it to, a future that never ends is what the poller expects.
    let Ok(mut editor) = builder.build_async(&mut wire).await else { return pending().await };
    loop {
        poll_fn(|_| {
            let mut state = wire.0.lock();
            if state.phase != Phase::Wanted {
                return Poll::Pending;
            }
            state.phase = Phase::Size;
            Poll::Ready(())
        })
        .await;
        let line = editor.readline(super::PROMPT, &mut wire).await.map(String::from);
        let mut state = wire.0.lock();
        state.phase = Phase::Idle;
        state.outcome = Some(line.map_or(Outcome::Aborted, Outcome::Line));
    }
}

/// A VT100 line editor: noline and our end of its wire.
pub(super) struct Noline {
    state: Arc<SpinMutex<State>>,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Noline {
    pub(super) fn new() -> Self {
        let state = Arc::new(SpinMutex::new(State {
            phase: Phase::Idle,
            columns: LEAST_COLUMNS,
            answers: VecDeque::new(),
            keys: VecDeque::new(),
            screen: Screen::new(),
            sound: Sound::On,
            outcome: None,
        }));
        let future = Box::pin(edit(Wire(state.clone())));
        Self { state, future }
    }

    /// Shows the prompt on a terminal of this width, at the beginning of an empty line.
    pub(super) fn begin(&mut self, columns: usize) {
        self.abandon();
        let mut state = self.state.lock();
        state.columns = columns.clamp(LEAST_COLUMNS, MOST_COLUMNS);
        let columns = state.columns;
        state.screen.begin(columns);
        state.phase = Phase::Wanted;
        state.outcome = None;
    }

    /// Gives up the line that is being read, and changes nothing on the screen.
    pub(super) fn abandon(&mut self) {
        {
            let mut state = self.state.lock();
            if matches!(state.phase, Phase::Idle) {
                return;
            }
            state.sound = Sound::Muted;
            state.keys.clear();
            // Ctrl-C ends noline's line.
            state.keys.push_back(0x03);
            state.screen.out.clear();
        }
        self.poll();
        let mut state = self.state.lock();
        state.sound = Sound::On;
        state.outcome = None;
    }

    /// Queues keys.
    pub(super) fn send(&mut self, keys: impl IntoIterator<Item = u8>) {
        self.state.lock().keys.extend(keys);
    }

    /// Whether keys are queued that noline has not taken.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state.lock();
        !state.keys.is_empty() || state.phase == Phase::Wanted
    }

    /// How many rows the cursor is below the prompt.
    pub(super) fn row(&self) -> usize {
        self.state.lock().screen.row()
    }

    /// Lets noline take its keys, and moves what it writes to `out`, as far as there is room.
    pub(super) fn run(&mut self, out: &mut Output) -> Option<Outcome> {
        loop {
            self.poll();
            let mut state = self.state.lock();
            let bytes: Vec<u8> = core::mem::take(&mut state.screen.out);
            out.raw(&bytes);
            // The buffer goes back, so that typing allocates nothing.
            state.screen.out = bytes;
            state.screen.out.clear();
            let outcome = state.outcome.take();
            if outcome.is_some() || state.keys.is_empty() || out.is_full() {
                return outcome;
            }
        }
    }

    fn poll(&mut self) {
        // It never ends: `edit` is a loop.
        _ = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}
