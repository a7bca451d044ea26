//! Whose request the driver gets next.

use super::super::geometry::Cache;
use super::super::raw::{Refused, Token};
use super::super::{Operation, SectorRange};
use super::client::Waiting;
use super::flight::{Flight, Kind, Owner, Waiter};
use super::state::{State, Turn};
use core::mem;

/// Bytes of a turn: the most that one request costs, so that each turn gets somewhere.
const QUANTUM: u64 = 64 << 10;
/// What a request costs at least: it takes the disk's time even if it has few bytes.
const LEAST_COST: u64 = 4 << 10;

/// What is done next.
enum Next {
    /// The client has had its turn.
    Pass,
    /// The client's first request.
    Issue,
}

impl State {
    /// Gives the driver as much as it takes.
    pub(super) fn pump(&mut self) {
        for client in &mut self.clients {
            while let Some(waiter) = client.take_ready_flush() {
                self.flushes.push(waiter);
            }
        }
        let before = self.next_token;
        if self.issue_flush() {
            while self.flights.len() < self.depth && self.issue_next() {}
        }
        if self.next_token != before {
            self.driver.start();
        }
    }

    /// Begins a flush for all who wait for one. Not while one is under way, which may have begun before their writes ended.
    /// Returns whether the driver may have room.
    fn issue_flush(&mut self) -> bool {
        if self.flushes.is_empty() {
            return true;
        }
        if self.cache == Cache::WriteThrough {
            for waiter in mem::take(&mut self.flushes) {
                self.report(waiter, Ok(()), None);
            }
            return true;
        }
        if self.flights.len() >= self.depth {
            return false;
        }
        if self.flights.iter().any(|flight| flight.kind == Kind::Flush) {
            return true;
        }
        let token = self.new_token();
        match self.driver.submit(token, Operation::Flush) {
            Ok(()) => {
                let owner = Owner::Flush(mem::take(&mut self.flushes));
                self.statistics.flushes += 1;
                self.fly(token, owner, Kind::Flush, SectorRange::EMPTY, 0);
                true
            }
            Err(Refused::Busy(_)) => false,
            Err(Refused::Failed(error, _)) => {
                self.statistics.errors += 1;
                for waiter in mem::take(&mut self.flushes) {
                    self.report(waiter, Err(error), None);
                }
                true
            }
        }
    }

    /// Begins one request of the client whose turn it is, or of one of the next. Returns whether there may be more.
    fn issue_next(&mut self) -> bool {
        // Each client once, and the first, whose turn may be over, once more.
        for _ in 0..=self.clients.len() {
            match self.next_of_turn() {
                Some(Next::Issue) => return self.issue_of_turn(),
                Some(Next::Pass) => {
                    self.turn += 1;
                    self.progress = Turn::New;
                }
                None => return false,
            }
        }
        false
    }

    fn next_of_turn(&mut self) -> Option<Next> {
        if self.turn >= self.clients.len() {
            self.turn = 0;
            self.progress = Turn::New;
        }
        let client = self.clients.get_mut(self.turn)?;
        let Some(next) = client.waiting.front() else {
            client.credit = 0;
            return Some(Next::Pass);
        };
        let range = next.operation.range().unwrap_or(SectorRange::EMPTY);
        let kind = Kind::of(&next.operation);
        // A flush there still waits for writes.
        if kind == Kind::Flush || self.flights.iter().any(|flight| flight.meets(kind, range)) {
            return Some(Next::Pass);
        }
        if self.progress == Turn::New {
            self.progress = Turn::Begun;
            client.credit = client.credit.saturating_add(QUANTUM).min(2 * QUANTUM);
        }
        Some(if client.credit >= cost(&next.operation) { Next::Issue } else { Next::Pass })
    }

    fn issue_of_turn(&mut self) -> bool {
        let token = self.new_token();
        let Some(client) = self.clients.get_mut(self.turn) else { return false };
        let Some(Waiting { id, operation, deadline }) = client.waiting.pop_front() else {
            return false;
        };
        let cost = cost(&operation);
        let range = operation.range().unwrap_or(SectorRange::EMPTY);
        let kind = Kind::of(&operation);
        let bytes = data_bytes(&operation);
        let waiter = Waiter { client: client.id, id, deadline };
        match self.driver.submit(token, operation) {
            Ok(()) => {
                client.credit = client.credit.saturating_sub(cost);
                client.changes_in_flight += usize::from(kind == Kind::Change);
                self.fly(token, Owner::Client(waiter), kind, range, bytes);
                true
            }
            Err(Refused::Busy(operation)) => {
                client.waiting.push_front(Waiting { id, operation, deadline });
                false
            }
            Err(Refused::Failed(error, operation)) => {
                self.statistics.errors += 1;
                self.report(waiter, Err(error), operation.into_buffer());
                true
            }
        }
    }

    fn fly(&mut self, token: Token, owner: Owner, kind: Kind, range: SectorRange, bytes: u64) {
        self.statistics.commands += 1;
        self.flights.push(Flight { token, owner, kind, range, bytes });
    }
}

fn data_bytes(operation: &Operation) -> u64 {
    match operation {
        Operation::Read { buffer, .. } | Operation::Write { buffer, .. } => buffer.len() as u64,
        Operation::Flush | Operation::Discard(_) | Operation::WriteZeroes(..) => 0,
    }
}

fn cost(operation: &Operation) -> u64 {
    data_bytes(operation).clamp(LEAST_COST, QUANTUM)
}
