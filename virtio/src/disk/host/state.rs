//! The state behind the lock of the host's disk.

use super::super::geometry::{Access, Cache};
use super::super::raw::{RawCompleted, RawDisk, Token};
use super::super::{Buffer, Completed, Completer, DiskError, News, Request, SectorRange};
use super::flight::{Deadline, Flight, Kind, Owner, Waiter};
use super::{Client, ClientId, ClientStatistics, HostStatistics, OpenError};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::time::Duration;
use hv_core::time::Instant;

/// How far the client whose turn it is has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// It has not got its quantum.
    New,
    /// It has.
    Begun,
}

/// A client, and what it is to be told.
type ToTell = (Arc<dyn Completer>, Vec<News>);

pub(super) struct State {
    pub(super) driver: Box<dyn RawDisk>,
    pub(super) depth: usize,
    pub(super) cache: Cache,
    timeout: Duration,
    pub(super) clients: Vec<Client>,
    next_client: u64,
    /// Index of the client whose turn it is.
    pub(super) turn: usize,
    pub(super) progress: Turn,
    pub(super) flights: Vec<Flight>,
    pub(super) next_token: u64,
    /// Flushes whose clients' writes have ended, and that no command serves yet.
    pub(super) flushes: Vec<Waiter>,
    /// When whoever polls will do so again at the latest.
    next_poll: Instant,
    /// The clock, as it was seen last.
    now: Instant,
    pub(super) statistics: HostStatistics,
}

impl State {
    pub(super) fn new(driver: Box<dyn RawDisk>, timeout: Duration) -> Self {
        let depth = driver.depth().max(1);
        Self {
            cache: driver.geometry().cache,
            driver,
            depth,
            timeout,
            clients: Vec::new(),
            next_client: 0,
            turn: 0,
            progress: Turn::New,
            flights: Vec::with_capacity(depth),
            next_token: 0,
            flushes: Vec::new(),
            next_poll: Instant::NEVER,
            now: Instant::default(),
            statistics: HostStatistics::default(),
        }
    }

    pub(super) fn open(
        &mut self,
        range: SectorRange,
        access: Access,
    ) -> Result<ClientId, OpenError> {
        let is_shared = |other: Access| access == Access::ReadOnly && other == Access::ReadOnly;
        if self.clients.iter().any(|other| other.range.overlaps(range) && !is_shared(other.access))
        {
            return Err(OpenError::InUse);
        }
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.push(Client::new(id, range, access));
        Ok(id)
    }

    pub(super) fn close(&mut self, id: ClientId) {
        self.cancel(id);
        for flight in &mut self.flights {
            if let Owner::Cancelled(Waiter { client, .. }) = flight.owner
                && client == id
            {
                flight.owner = Owner::Stray(id);
            }
        }
        if let Some(index) = self.clients.iter().position(|client| client.id == id) {
            self.clients.remove(index);
            if self.turn > index {
                self.turn -= 1;
            } else if self.turn == index {
                self.progress = Turn::New;
            }
        }
    }

    pub(super) fn connect(&mut self, id: ClientId, completer: Weak<dyn Completer>) {
        if let Some(client) = self.client(id) {
            client.completer = Some(completer);
        }
    }

    pub(super) fn enqueue(&mut self, id: ClientId, request: Request) -> Result<(), Request> {
        match self.client(id) {
            Some(client) => client.enqueue(request),
            None => Err(request),
        }
    }

    /// Drops what the client is waiting for, and lets what the driver has become strays.
    pub(super) fn cancel(&mut self, id: ClientId) {
        if let Some(client) = self.client(id) {
            client.waiting.clear();
            client.changes_in_flight = 0;
        }
        self.flushes.retain(|waiter| waiter.client != id);
        for flight in &mut self.flights {
            match &mut flight.owner {
                Owner::Client(waiter) if waiter.client == id => {
                    flight.owner = Owner::Cancelled(*waiter);
                }
                Owner::Flush(waiters) => waiters.retain(|waiter| waiter.client != id),
                Owner::Client(_) | Owner::Cancelled(_) | Owner::Stray(_) => {}
            }
        }
    }

    /// Returns what is to be told, and when to call again.
    pub(super) fn poll(&mut self, now: Instant) -> (Vec<ToTell>, Instant) {
        self.now = now;
        // As many as the driver can have, so that one that invents ends does not hold this CPU.
        for _ in 0..self.depth {
            let Some(completed) = self.driver.poll() else { break };
            self.land(completed);
        }
        self.fail_late(now);
        self.pump();
        self.next_poll = self.deadline();
        (self.clients.iter_mut().filter_map(Client::take_news).collect(), self.next_poll)
    }

    /// Whether nobody would poll in time if nobody were told: something is to be told, or waits although nothing did.
    pub(super) fn wants_poll(&mut self) -> bool {
        let is_wanted = self.clients.iter().any(|client| !client.news.is_empty())
            || self.next_poll == Instant::NEVER && self.deadline() != Instant::NEVER;
        if is_wanted {
            // Once is enough.
            self.next_poll = Instant::default();
        }
        is_wanted
    }

    /// The first instant at which something is late.
    fn deadline(&self) -> Instant {
        // The first of a client is the first to be late.
        let waiting = self.clients.iter().filter_map(|client| client.waiting.front());
        let waiting = waiting.map(|waiting| waiting.deadline);
        let flushes = self.flushes.iter().map(|waiter| waiter.deadline);
        let flights = self.flights.iter().flat_map(|flight| match &flight.owner {
            Owner::Client(waiter) | Owner::Cancelled(waiter) => core::slice::from_ref(waiter),
            Owner::Flush(waiters) => waiters.as_slice(),
            Owner::Stray(_) => &[],
        });
        let all = waiting.chain(flushes).chain(flights.map(|waiter| waiter.deadline));
        all.map(Deadline::instant).min().unwrap_or(Instant::NEVER)
    }

    pub(super) fn statistics(&self) -> HostStatistics {
        HostStatistics {
            in_flight: self.flights.len(),
            strays: self.flights.iter().filter(|flight| flight.is_stray()).count(),
            ..self.statistics
        }
    }

    pub(super) fn statistics_of(&self, id: ClientId) -> ClientStatistics {
        let client = self.clients.iter().find(|client| client.id == id);
        client.map(|client| client.statistics).unwrap_or_default()
    }

    pub(super) fn open_ranges(&self) -> Vec<(SectorRange, Access)> {
        self.clients.iter().map(|client| (client.range, client.access)).collect()
    }

    /// A command has ended.
    fn land(&mut self, completed: RawCompleted) {
        let RawCompleted { token, result, buffer } = completed;
        let Some(index) = self.flights.iter().position(|flight| flight.token == token) else {
            return;
        };
        let flight = self.flights.swap_remove(index);
        match (result, flight.kind) {
            (Ok(()), Kind::Read) => self.statistics.read_bytes += flight.bytes,
            (Ok(()), Kind::Change) => self.statistics.written_bytes += flight.bytes,
            (Ok(()), Kind::Flush) => {}
            (Err(_), _) => self.statistics.errors += 1,
        }
        match flight.owner {
            Owner::Client(waiter) => {
                if let Some(client) = self.client(waiter.client) {
                    client.landed(flight.kind, flight.bytes, result);
                }
                self.report(waiter, result, buffer);
            }
            Owner::Cancelled(waiter) => self.report(waiter, Err(DiskError::Cancelled), buffer),
            Owner::Flush(waiters) => {
                for waiter in waiters {
                    self.report(waiter, result, None);
                }
            }
            Owner::Stray(client) => {
                drop(buffer);
                if let Some(client) = self.client(client) {
                    client.news.push(News::Room);
                }
            }
        }
    }

    /// Fails what should have ended by now.
    fn fail_late(&mut self, now: Instant) {
        let limit = now + self.timeout;
        let mut late = Vec::new();
        for client in &mut self.clients {
            while let Some(waiting) = client.take_late(now, limit) {
                let waiter =
                    Waiter { client: client.id, id: waiting.id, deadline: waiting.deadline };
                late.push((waiter, waiting.operation.into_buffer()));
            }
            client.set_deadlines(limit);
        }
        let mut is_late = |waiter: &mut Waiter| {
            let is_over = waiter.deadline.is_over(now, limit);
            if is_over {
                late.push((*waiter, None));
            }
            is_over
        };
        self.flushes.retain_mut(|waiter| !is_late(waiter));
        let mut changes = Vec::new();
        for flight in &mut self.flights {
            match &mut flight.owner {
                Owner::Client(waiter) | Owner::Cancelled(waiter) => {
                    if is_late(waiter) {
                        let client = waiter.client;
                        if flight.kind == Kind::Change && matches!(flight.owner, Owner::Client(_)) {
                            changes.push(client);
                        }
                        flight.owner = Owner::Stray(client);
                    }
                }
                Owner::Flush(waiters) => waiters.retain_mut(|waiter| !is_late(waiter)),
                Owner::Stray(_) => {}
            }
        }
        for id in changes {
            if let Some(client) = self.client(id) {
                client.changes_in_flight = client.changes_in_flight.saturating_sub(1);
            }
        }
        for (waiter, buffer) in late {
            self.statistics.late += 1;
            self.report(waiter, Err(DiskError::Late), buffer);
        }
    }

    pub(super) fn report(
        &mut self,
        waiter: Waiter,
        result: Result<(), DiskError>,
        buffer: Option<Buffer>,
    ) {
        let completed = Completed { id: waiter.id, result, buffer };
        let took = match waiter.deadline {
            Deadline::Unset => Duration::ZERO,
            // It was seen first when it had all of the time left.
            Deadline::At(limit) => self.now.since(limit - self.timeout),
        };
        if let Some(client) = self.client(waiter.client) {
            client.statistics.count(result, took);
            client.news.push(News::Ended(completed));
        }
    }

    pub(super) fn new_token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn client(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.id == id)
    }
}
