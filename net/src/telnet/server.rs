//! A telnet connection: what was received becomes events for the session, and its output becomes bytes to send.

use super::code::{Choice, Command, Verb};
use super::encoder::{Dialect, Encoder};
use super::negotiation::{Heard, Negotiation, Side};
use super::parser::{Parser, Subnegotiation, Token};
use crate::time::Instant;

const CR: u8 = b'\r';
const LF: u8 = b'\n';
const NUL: u8 = 0;
/// What terminals send for "erase character" and "erase line".
const DELETE: u8 = 0x7f;
const CONTROL_U: u8 = 0x15;

/// The size of the client's window, in characters. Zero where the client does not know (RFC 1073).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Who edits the line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The client: whole lines come, and it has shown what was typed. Nothing is to be echoed.
    Line,
    /// The server: each key comes at once, and is shown if the server echoes it.
    Character,
}

/// Why nothing more is read from a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Violation {
    /// A subnegotiation did not end.
    EndlessSubnegotiation,
}

/// What the client did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A byte. Every way to end a line (CR LF, CR NUL, CR) is one CR; a line feed without a CR is itself.
    Byte(u8),
    /// Its window has this size now.
    Resize(WindowSize),
    /// Who edits the line has changed. It begins as [`Mode::Line`].
    Mode(Mode),
    /// The break key.
    Break,
    /// What runs shall be interrupted.
    Interrupt,
    /// Output that has not been sent shall be forgotten.
    AbortOutput,
    /// Something that can be seen shall be sent. At most once for each call of [`Telnet::receive`].
    AreYouThere,
    /// It did what it must not: nothing more is read, and the connection is to be closed.
    Violation(Violation),
}

/// What was not done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests for options beyond what is answered.
    pub dropped: u64,
    /// Commands and subnegotiations without a meaning here.
    pub ignored: u64,
}

/// The server's side of a connection.
#[derive(Debug)]
pub struct Telnet {
    parser: Parser,
    negotiation: Negotiation,
    encoder: Encoder,
    /// Whether the client has negotiated anything: one that does not speak telnet never does.
    is_spoken: bool,
    follows_cr: bool,
    mode: Mode,
    window: Option<WindowSize>,
    counts: Counts,
}

impl Telnet {
    /// A connection that was just made. Its first [`replies`](Self::replies) offer to echo and ask for the window: a client
    /// on a port other than 23 waits for the server to begin.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let mut negotiation = Negotiation::new(now);
        negotiation.ask(Side::Ours, Choice::Echo);
        negotiation.ask(Side::Ours, Choice::SuppressGoAhead);
        negotiation.ask(Side::Theirs, Choice::WindowSize);
        negotiation.ask(Side::Theirs, Choice::SuppressGoAhead);
        Self {
            parser: Parser::new(),
            negotiation,
            encoder: Encoder::default(),
            is_spoken: false,
            follows_cr: false,
            mode: Mode::Line,
            window: None,
            counts: Counts::default(),
        }
    }

    /// Hands what `input` says to `sink`, in order.
    pub fn receive(&mut self, input: &[u8], now: Instant, sink: &mut impl FnMut(Event)) {
        let mut is_asked = false;
        for token in input {
            match self.parser.feed(*token) {
                None => {}
                Some(Token::Data(byte)) => self.data(byte, sink),
                Some(Token::Command(Command::AreYouThere)) if is_asked => {}
                Some(Token::Command(Command::AreYouThere)) => {
                    is_asked = true;
                    sink(Event::AreYouThere);
                }
                Some(Token::Command(command)) => self.command(command, sink),
                Some(Token::Negotiation(verb, option)) => self.negotiate(verb, option, now, sink),
                Some(Token::Subnegotiation(contents)) => self.subnegotiate(contents, sink),
                Some(Token::Ignored) => self.counts.ignored += 1,
                Some(Token::Endless) => sink(Event::Violation(Violation::EndlessSubnegotiation)),
            }
        }
    }

    /// Answers to the client. They are sent before more output is.
    #[must_use]
    pub fn replies(&self) -> &[u8] {
        self.negotiation.replies()
    }

    /// The first `count` bytes of the replies are sent.
    pub fn replied(&mut self, count: usize) {
        self.negotiation.sent(count);
    }

    /// Encodes as much of `output` into `room` as fits; how many bytes are taken, and how many written. With twice and one
    /// more of the bytes of `output` all fits.
    pub fn encode(&mut self, output: &[u8], room: &mut [u8]) -> (usize, usize) {
        let dialect = if !self.is_spoken {
            Dialect::Plain
        } else if self.negotiation.is_on(Side::Ours, Choice::Binary) {
            Dialect::Binary
        } else {
            Dialect::Network
        };
        self.encoder.encode(dialect, output, room)
    }

    /// Who edits the line.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The client's window, if it has told.
    #[must_use]
    pub fn window(&self) -> Option<WindowSize> {
        self.window
    }

    /// What was not done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn data(&mut self, byte: u8, sink: &mut impl FnMut(Event)) {
        let follows_cr = core::mem::replace(&mut self.follows_cr, false);
        if self.negotiation.is_on(Side::Theirs, Choice::Binary) {
            return sink(Event::Byte(byte));
        }
        if follows_cr && matches!(byte, LF | NUL) {
            return;
        }
        self.follows_cr = byte == CR;
        sink(Event::Byte(byte));
    }

    fn command(&mut self, command: Command, sink: &mut impl FnMut(Event)) {
        sink(match command {
            Command::Break => Event::Break,
            Command::Interrupt => Event::Interrupt,
            Command::AbortOutput => Event::AbortOutput,
            Command::EraseCharacter => Event::Byte(DELETE),
            Command::EraseLine => Event::Byte(CONTROL_U),
            Command::AreYouThere | Command::Subnegotiation | Command::SubnegotiationEnd => return,
        });
    }

    fn negotiate(&mut self, verb: Verb, option: u8, now: Instant, sink: &mut impl FnMut(Event)) {
        self.is_spoken = true;
        if self.negotiation.hear(verb, option, now) == Heard::Dropped {
            self.counts.dropped += 1;
        }
        let echoes = self.negotiation.is_on(Side::Ours, Choice::Echo);
        let suppresses = self.negotiation.is_on(Side::Ours, Choice::SuppressGoAhead);
        // Both together mean character at a time to every client (RFC 857, 858).
        let mode = if echoes && suppresses { Mode::Character } else { Mode::Line };
        if mode != self.mode {
            self.mode = mode;
            sink(Event::Mode(mode));
        }
    }

    fn subnegotiate(&mut self, contents: Subnegotiation, sink: &mut impl FnMut(Event)) {
        let is_window = contents.option == Choice::WindowSize as u8
            && self.negotiation.is_on(Side::Theirs, Choice::WindowSize);
        let size = contents.contents().filter(|_| is_window).map(|[a, b, c, d]| WindowSize {
            columns: u16::from_be_bytes([a, b]),
            rows: u16::from_be_bytes([c, d]),
        });
        let Some(size) = size else {
            self.counts.ignored += 1;
            return;
        };
        if self.window != Some(size) {
            self.window = Some(size);
            sink(Event::Resize(size));
        }
    }
}

#[cfg(test)]
mod tests;
