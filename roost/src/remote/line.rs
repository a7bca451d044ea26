//! A telnet connection: bytes of a session in and out, and what telnet says besides.

use crate::host::Services;
use crate::people::time;
use crate::sessions::{Link, Received};
use alloc::vec::Vec;
use hv_core::host;
use hv_core::time::Instant;
use net::stack::Connection;
use net::telnet::{Event, Mode, Telnet, WindowSize};
use shell::session::{Session, TerminalKind};
use shell::terminal_size::TerminalSize;

/// Bytes that are received in one poll.
const CHUNK: usize = 256;
/// Bytes of output that are encoded at once.
const PIECE: usize = 256;
/// What Ctrl-C sends: what the keys for "break" and "interrupt process" come to.
const INTERRUPT: u8 = 0x03;
/// The answer to "are you there" (RFC 854).
const HERE: &[u8] = b"\r\n[Roost is here]\r\n";

/// Whether there is somebody at the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Peer {
    There,
    /// It has closed the connection, is gone, or does what it must not.
    Gone,
}

/// What a client has said besides bytes, and nobody has looked at.
#[derive(Default)]
struct Said {
    is_asked: bool,
    forgets_output: bool,
    has_violated: bool,
    size: Option<TerminalSize>,
}

/// A connection that speaks telnet.
pub(super) struct Line {
    connection: Connection,
    telnet: Telnet,
    /// What was typed and nobody has taken.
    typed: Vec<u8>,
    /// Encoded output, of which the stack has taken `sent` bytes.
    outgoing: Vec<u8>,
    sent: usize,
    said: Said,
    /// Whether something has come the last time that was looked: then there may be more.
    has_received: bool,
    /// Whether nothing can be sent any more.
    is_broken: bool,
}

impl Line {
    pub(super) fn new(connection: Connection, now: Instant) -> Self {
        Self {
            connection,
            telnet: Telnet::new(time(now)),
            typed: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            said: Said::default(),
            has_received: false,
            is_broken: false,
        }
    }

    /// Who shows what is typed.
    pub(super) fn mode(&self) -> Mode {
        self.telnet.mode()
    }

    /// What the terminal is, as far as its client has told.
    pub(super) fn terminal(&self) -> (TerminalKind, Option<TerminalSize>) {
        let size = self.telnet.window().and_then(size);
        let kind = match (self.telnet.mode(), size) {
            (Mode::Line, _) => TerminalKind::Lines,
            (Mode::Character, Some(size)) => TerminalKind::Vt100 { columns: size.columns },
            (Mode::Character, None) => TerminalKind::Probe,
        };
        (kind, size)
    }

    /// Moves bytes in both directions.
    pub(super) fn pump(&mut self, services: &mut Services) -> Peer {
        self.has_received = false;
        self.flush(services);
        if self.is_broken {
            // Nobody will take what was typed before: it is not waited for.
            return Peer::Gone;
        }
        if self.typed.len() >= CHUNK {
            return Peer::There;
        }
        let mut buf = [0; CHUNK];
        let Some(stack) = services.network_mut().stack() else { return Peer::Gone };
        let Ok(count) = stack.receive(self.connection, &mut buf) else { return Peer::Gone };
        self.has_received = count > 0;
        if count > 0 {
            // There is room again, which the other end has to be told.
            services.has_sent();
        }
        let (typed, said) = (&mut self.typed, &mut self.said);
        let received = buf.get(..count).unwrap_or_default();
        self.telnet.receive(received, time(host::now()), &mut |event| match event {
            Event::Byte(byte) => typed.push(byte),
            Event::Break | Event::Interrupt => typed.push(INTERRUPT),
            Event::Resize(window) => said.size = size(window),
            Event::AreYouThere => said.is_asked = true,
            Event::AbortOutput => said.forgets_output = true,
            Event::Violation(_) => said.has_violated = true,
            // It is looked at when it matters.
            Event::Mode(_) => {}
        });
        if self.said.has_violated {
            return Peer::Gone;
        }
        self.flush(services);
        if self.outgoing.is_empty() && core::mem::take(&mut self.said.is_asked) {
            self.write(HERE, services);
        }
        Peer::There
    }

    /// Whether something has come with the last [`Self::pump`]: there may be more, of which nobody will tell.
    pub(super) fn has_received(&self) -> bool {
        self.has_received
    }

    /// What was typed.
    pub(super) fn take_typed(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.typed)
    }

    /// Whether something was typed that nobody has taken.
    pub(super) fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    /// Gives back what nobody wanted yet; it comes first when next taken.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let behind = core::mem::replace(&mut self.typed, bytes.to_vec());
        self.typed.extend(behind);
    }

    /// Sends bytes; all of them only while [`Self::is_free`].
    pub(super) fn write(&mut self, bytes: &[u8], services: &mut Services) {
        for piece in bytes.chunks(PIECE) {
            let mut encoded = [0; 2 * PIECE + 1];
            let (_, count) = self.telnet.encode(piece, &mut encoded);
            self.outgoing.extend(encoded.iter().take(count));
        }
        self.flush(services);
    }

    /// Whether more can be sent now.
    pub(super) fn is_free(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Whether the peer has received everything.
    pub(super) fn is_done(&self, services: &mut Services) -> bool {
        let connection = self.connection;
        let unsent = services.network_mut().stack().map_or(0, |stack| stack.unsent(connection));
        self.outgoing.is_empty() && unsent == 0
    }

    /// Ends the connection.
    pub(super) fn end(&mut self, services: &mut Services) {
        if let Some(stack) = services.network_mut().stack() {
            stack.close(self.connection, time(host::now()));
        }
        services.has_sent();
    }

    /// Hands what is to be sent to the stack. Answers of telnet's own go between pieces of output: a piece may end within
    /// two bytes that belong together.
    fn flush(&mut self, services: &mut Services) {
        let Some(stack) = services.network_mut().stack() else { return };
        let mut total = 0;
        let rest = self.outgoing.get(self.sent..).unwrap_or_default();
        if !rest.is_empty() {
            let result = stack.send(self.connection, rest);
            self.is_broken |= result.is_err();
            let count = result.unwrap_or(0);
            self.sent += count;
            total += count;
        }
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
            let result = stack.send(self.connection, self.telnet.replies());
            self.is_broken |= result.is_err();
            let count = result.unwrap_or(0);
            self.telnet.replied(count);
            total += count;
        }
        if total > 0 {
            services.has_sent();
        }
    }
}

/// A size that both know: zero is what a client does not (RFC 1073).
fn size(window: WindowSize) -> Option<TerminalSize> {
    let WindowSize { columns, rows } = window;
    (columns > 0 && rows > 0).then_some(TerminalSize { columns, rows })
}

impl Link for Line {
    fn name(&self) -> &'static str {
        "telnet"
    }

    fn receive(&mut self, session: &mut Session, services: &mut Services) -> Received {
        let peer = self.pump(services);
        if let Some(size) = self.said.size.take() {
            session.set_size(size);
        }
        if core::mem::take(&mut self.said.forgets_output) {
            while session.take_output(&mut [0; PIECE]) > 0 {}
        }
        let taken = if self.typed.is_empty() { 0 } else { session.input(&self.typed) };
        self.typed.drain(..taken.min(self.typed.len()));
        match peer {
            Peer::Gone => Received::Gone,
            Peer::There if taken > 0 => Received::Keys,
            Peer::There => Received::Nothing,
        }
    }

    fn room(&mut self, services: &mut Services) -> usize {
        self.flush(services);
        if self.outgoing.is_empty() { PIECE } else { 0 }
    }

    fn send(&mut self, bytes: &[u8], services: &mut Services) {
        self.write(bytes, services);
    }

    fn is_drained(&self, services: &mut Services) -> bool {
        self.is_done(services)
    }

    fn close(&mut self, services: &mut Services) {
        self.end(services);
    }
}
