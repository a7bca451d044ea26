//! Lines from a connection, and answers to it.

use crate::host::Services;
use crate::people::time;
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::host;
use hv_core::time::Instant;
use net::stack::Connection;
use net::wire::{self, LONGEST_LINE, Lines, Reply, Request};

/// Bytes that are read at once.
const PIECE: usize = 512;

/// Whether the other end is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    /// It is.
    There,
    /// It says no more, and may still listen (RFC 9293, 3.6).
    Silent,
    /// It is gone.
    Gone,
}

/// Lines from a connection, and answers to it. There is one answer at a time: the next line is not looked at before.
pub(super) struct Stream {
    connection: Connection,
    /// What has come and was not looked at.
    received: Vec<u8>,
    lines: Lines,
    /// What is to be sent, and how much of it was.
    answer: Vec<u8>,
    sent: usize,
    /// Since when nothing of it is taken.
    stuck: Option<Instant>,
    presence: Presence,
}

impl Stream {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            received: Vec::new(),
            lines: Lines::default(),
            answer: Vec::new(),
            sent: 0,
            stuck: None,
            presence: Presence::There,
        }
    }

    /// Sends what there is room for, and reads what there is room for.
    pub(super) fn exchange(&mut self, services: &mut Services) -> Presence {
        self.flush(services);
        let mut buf = [0; PIECE];
        while self.presence == Presence::There && self.received.len() + PIECE <= LONGEST_LINE {
            let Some(stack) = services.stack() else { return Presence::Gone };
            match stack.receive(self.connection, &mut buf) {
                Ok(0) => break,
                Ok(count) => {
                    self.received.extend(buf.get(..count).unwrap_or_default());
                    // There is room again, which the other end has to be told.
                    services.has_sent();
                }
                Err(_) => self.presence = Presence::Silent,
            }
        }
        self.presence
    }

    /// Sends what there is room for.
    pub(super) fn flush(&mut self, services: &mut Services) {
        let rest = self.answer.get(self.sent..).unwrap_or_default();
        match services.stack().map(|stack| stack.send(self.connection, rest)) {
            Some(Ok(0)) => {}
            Some(Ok(count)) => {
                self.sent += count;
                self.stuck = None;
                services.has_sent();
            }
            Some(Err(_)) | None => self.presence = Presence::Gone,
        }
        if self.sent >= self.answer.len() {
            (self.answer, self.sent) = (Vec::new(), 0);
        }
    }

    /// Whether nothing of an answer was taken for so long.
    pub(super) fn is_stuck(&mut self, limit: Duration) -> bool {
        if self.is_flushed() {
            self.stuck = None;
            return false;
        }
        let now = host::now();
        now.since(*self.stuck.get_or_insert(now)) >= limit
    }

    /// Whether all answers are on their way.
    pub(super) fn is_flushed(&self) -> bool {
        self.answer.is_empty()
    }

    /// Whether all answers have been received.
    pub(super) fn is_drained(&self, services: &mut Services) -> bool {
        let unsent = services.stack().map_or(0, |stack| stack.unsent(self.connection));
        self.presence == Presence::Gone || self.is_flushed() && unsent == 0
    }

    pub(super) fn reply(&mut self, reply: &Reply<'_>) {
        self.send(reply.line().as_bytes());
    }

    /// Sends bytes that are no answer.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.answer.extend(bytes);
    }

    /// What the next line asks for, when the answer to the one before is on its way.
    pub(super) fn request(&mut self) -> Option<Request> {
        if !self.is_flushed() {
            return None;
        }
        let (taken, line) = self.lines.feed(&self.received);
        self.received.drain(..taken);
        line.map(wire::parse)
    }

    /// Hands over bytes that are no lines, as many as are taken.
    pub(super) fn hand_over(&mut self, to: impl FnOnce(&[u8]) -> usize) -> usize {
        let taken = to(&self.received);
        self.received.drain(..taken.min(self.received.len()));
        taken
    }

    /// Ends the connection after what was sent.
    pub(super) fn close(&self, services: &mut Services) {
        if let Some(stack) = services.stack() {
            stack.close(self.connection, time(host::now()));
        }
        services.has_sent();
    }
}
