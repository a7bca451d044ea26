//! A user at a terminal, with a session and a made-up host.

use super::fake_host::FakeHost;
use super::vt100::Vt100;
use crate::access;
use crate::session::{Lifetime, Options, Session, SessionId, TerminalKind};
use std::time::Duration;

/// What the session is connected to.
enum Terminal {
    Plain,
    Vt100(Vt100),
}

/// Somebody who types, and sees what the session answers.
pub(crate) struct User {
    pub(crate) session: Session,
    pub(crate) host: FakeHost,
    pub(crate) now: Duration,
    terminal: Terminal,
    /// What was sent since it was last looked at.
    seen: Vec<u8>,
}

impl User {
    /// At something that answers nothing, such as a pipe.
    pub(crate) fn plain(host: FakeHost) -> Self {
        let mut user = Self::new(host, Terminal::Plain, TerminalKind::Plain);
        user.settle();
        user
    }

    /// Somebody else than whoever is at the serial port, at something that answers nothing.
    pub(crate) fn remote(host: FakeHost, user: access::User) -> Self {
        let options =
            Options { user, lifetime: Lifetime::Login, ..Options::local(TerminalKind::Plain) };
        let mut user = Self::with(host, Terminal::Plain, options);
        user.settle();
        user.sees();
        user
    }

    /// At a VT100 of this size.
    pub(crate) fn vt100(host: FakeHost, rows: usize, columns: usize) -> Self {
        let mut user =
            Self::new(host, Terminal::Vt100(Vt100::new(rows, columns)), TerminalKind::Probe);
        user.settle();
        user
    }

    /// At something that answers nothing, with a session that asks.
    pub(crate) fn silent(host: FakeHost) -> Self {
        Self::new(host, Terminal::Plain, TerminalKind::Probe)
    }

    /// A program.
    pub(crate) fn program(host: FakeHost) -> Self {
        Self::new(host, Terminal::Plain, TerminalKind::Program)
    }

    fn new(host: FakeHost, terminal: Terminal, kind: TerminalKind) -> Self {
        Self::with(host, terminal, Options::local(kind))
    }

    pub(crate) fn with_options(host: FakeHost, options: Options) -> Self {
        Self::with(host, Terminal::Plain, options)
    }

    fn with(host: FakeHost, terminal: Terminal, options: Options) -> Self {
        let session = Session::new(SessionId(0), options);
        Self { session, host, now: Duration::ZERO, terminal, seen: Vec::new() }
    }

    /// Types, and gives what is sent in return.
    pub(crate) fn types(&mut self, keys: impl AsRef<[u8]>) -> String {
        let mut keys = keys.as_ref();
        while !keys.is_empty() {
            keys = &keys[self.session.input(keys)..];
            self.settle();
        }
        self.sees()
    }

    /// Lets time pass, and gives what is sent meanwhile.
    pub(crate) fn waits(&mut self, time: Duration) -> String {
        let end = self.now + time;
        while let Some(deadline) = self.session.next_deadline().filter(|&deadline| deadline <= end)
        {
            self.now = deadline.max(self.now);
            self.session.poll(&mut self.host, self.now);
            self.settle();
            if self.session.next_deadline() == Some(deadline) {
                break;
            }
        }
        self.now = end;
        self.session.poll(&mut self.host, self.now);
        self.settle();
        self.sees()
    }

    /// What was sent since this was last asked.
    pub(crate) fn sees(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.seen)).into_owned()
    }

    /// The terminal.
    pub(crate) fn screen(&self) -> &Vt100 {
        match &self.terminal {
            Terminal::Vt100(screen) => screen,
            Terminal::Plain => panic!("there is no screen"),
        }
    }

    /// The terminal answers nothing any more.
    pub(crate) fn mute(&mut self) {
        self.terminal = Terminal::Plain;
    }

    /// Polls the session until it has nothing to do.
    pub(crate) fn settle(&mut self) {
        let mut rounds = 0;
        loop {
            while self.session.needs_poll() {
                self.session.poll(&mut self.host, self.now);
                rounds += 1;
                assert!(rounds < 100_000, "the session never rests");
                if self.session.has_output() {
                    break;
                }
            }
            let mut buf = [0; 64];
            let taken = self.session.take_output(&mut buf);
            self.seen.extend_from_slice(&buf[..taken]);
            if let Terminal::Vt100(screen) = &mut self.terminal {
                screen.show(&buf[..taken]);
                let answers = std::mem::take(&mut screen.answers);
                assert_eq!(self.session.input(&answers), answers.len());
            }
            if taken == 0 && !self.session.needs_poll() {
                break;
            }
        }
    }
}
