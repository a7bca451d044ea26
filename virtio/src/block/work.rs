//! Working on requests: taking them from the queues, cutting them into pieces, answering them.

use super::piece::{Name, Piece};
use super::request::{self, Direction, Request, Terms, Work};
use super::table::{Durability, Running};
use super::wire::{self, F_CACHE_MODE, F_FLUSH, HEADER_BYTES, NAME_BYTES, Status};
use super::{Block, Health, Stay};
use crate::device::{Context, More};
use crate::disk::geometry::Cache;
use crate::disk::{
    Completed, Disk, DiskError, Operation, Request as DiskRequest, SECTOR_BYTES, Submitted,
    Transfer,
};
use crate::fault::Fault;
use crate::queue::Chain;
use hv_core::guest::GuestMemory;

/// Bytes that one call moves at most.
const BYTES_PER_CALL: u64 = 512 << 10;
/// What a request costs of those if it has fewer.
const LEAST_COST: u64 = 4 << 10;

/// What one step brought.
enum Step {
    /// So much of the call's budget was used.
    Done(u64),
    /// Nothing can be done now.
    Stuck,
}

impl Block {
    /// Works on, and asks to be called again if that was not all.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) {
        if self.work(context) == More::Yes {
            context.call_again(self.last_queue);
        }
    }

    /// Gives the disk pieces and takes requests, until there are none, nothing can be done, or it is enough for now.
    pub(super) fn work(&mut self, context: &mut Context<'_>) -> More {
        let mut left = BYTES_PER_CALL;
        let more = loop {
            if left == 0 {
                break More::Yes;
            }
            let step = match self.current {
                Some(index) => self.cut(index, context),
                None => self.take(context),
            };
            match step {
                Step::Done(cost) => left = left.saturating_sub(cost),
                Step::Stuck => break More::No,
            }
        };
        // Once for all pieces.
        if let Some(medium) = &mut self.medium
            && core::mem::take(&mut medium.unstarted) != 0
        {
            medium.disk.start();
        }
        more
    }

    /// Takes the next request from the queues, which have turns.
    fn take(&mut self, context: &mut Context<'_>) -> Step {
        if self.table.is_full() {
            return Step::Stuck;
        }
        let queues = self.queue_sizes.len();
        for distance in 1..=queues {
            let queue = (self.last_queue + distance) % queues;
            if self.backlog >> queue & 1 == 0 {
                continue;
            }
            let Some(chain) = context.pop(queue) else {
                self.backlog &= !(1 << queue);
                continue;
            };
            self.last_queue = queue;
            self.begin(queue, chain, context);
            return Step::Done(LEAST_COST);
        }
        Step::Stuck
    }

    fn begin(&mut self, queue: usize, chain: Chain, context: &mut Context<'_>) {
        let medium = self.medium.as_ref().filter(|medium| medium.stay == Stay::Stays);
        let geometry = medium.map(|medium| &medium.geometry);
        let features = self.agreed | self.offered & wire::F_READ_ONLY;
        let work = match request::read(&chain, context.memory(), &Terms { geometry, features }) {
            Request::Work(work) => work,
            Request::Name => return self.tell_name(queue, chain, context),
            Request::Refused(status) => return self.answer(queue, chain, status, 0, context),
            Request::Malformed => return context.fail(Fault::Request),
        };
        self.statistics.begin(&work);
        let durability =
            if self.must_flush(&work) { Durability::Wanted } else { Durability::Unasked };
        let status = Status::Done;
        let running = Running { queue, chain, work, pieces: 0, status, durability };
        self.current = self.table.insert(running);
        if self.current.is_none() {
            // Nobody takes a request when the table is full.
            context.fail(Fault::HostMemory);
        }
    }

    /// Whether a write must be durable when it ends: a driver that does not flush relies on that (5.2.5).
    fn must_flush(&self, work: &Work) -> bool {
        let is_write = match work {
            Work::Data { direction, .. } => *direction == Direction::Write,
            Work::Ranges(_) => true,
            Work::Flush => false,
        };
        let driver_flushes = if self.agreed & F_CACHE_MODE != 0 {
            self.cache == Cache::WriteBack
        } else {
            self.agreed & F_FLUSH != 0
        };
        is_write && !driver_flushes && self.geometry.cache == Cache::WriteBack
    }

    /// Gives the disk the next piece of the current request.
    fn cut(&mut self, index: u8, context: &mut Context<'_>) -> Step {
        let (Some(running), Some(medium)) = (self.table.get(index), &mut self.medium) else {
            self.current = None;
            return Step::Done(0);
        };
        let next = running.work.next(&medium.geometry).filter(|_| running.status == Status::Done);
        let Some(piece) = next else {
            self.current = None;
            if running.pieces == 0 {
                self.end(index, context);
            }
            return Step::Done(0);
        };
        let (operation, cost) = match piece {
            Piece::Task(task) => (task.operation(), LEAST_COST),
            Piece::Flush => (Operation::Flush, LEAST_COST),
            Piece::Data { direction, sector, offset, bytes } => {
                let cost = LEAST_COST.max(bytes as u64);
                let (chain, memory) = (&running.chain, context.memory());
                if let Some(result) = transfer(&*medium.disk, piece, chain, memory) {
                    running.work.advance(piece);
                    if let Err(error) = result {
                        running.status = Status::of(error);
                    }
                    return Step::Done(cost);
                }
                let Some(mut buffer) = medium.pool.take(bytes) else {
                    if medium.health == Health::Good || medium.in_flight != 0 {
                        return Step::Stuck;
                    }
                    running.status = Status::Error;
                    return Step::Done(LEAST_COST);
                };
                let operation = match direction {
                    Direction::Read => Operation::Read { sector, buffer },
                    Direction::Write => {
                        let from = HEADER_BYTES + offset;
                        if running.chain.read_at(context.memory(), from, &mut buffer).is_err() {
                            running.status = Status::Error;
                            return Step::Done(LEAST_COST);
                        }
                        Operation::Write { sector, buffer }
                    }
                };
                (operation, cost)
            }
        };
        running.work.advance(piece);
        self.submit(index, piece.place(), operation, context);
        Step::Done(cost)
    }

    fn submit(&mut self, index: u8, sector: u32, operation: Operation, context: &mut Context<'_>) {
        let (Some(running), Some(medium)) = (self.table.get(index), &mut self.medium) else {
            return;
        };
        running.pieces += 1;
        medium.in_flight += 1;
        let id = Name { life: self.life, request: index, sector }.id();
        match medium.disk.submit(DiskRequest { id, operation }) {
            Submitted::Done(completed) => self.piece_ended(completed, context),
            Submitted::Later => medium.unstarted += 1,
        }
    }

    /// A piece of this life has ended.
    pub(super) fn piece_ended(&mut self, completed: Completed, context: &mut Context<'_>) {
        let name = Name::of(completed.id);
        let Some(running) = self.table.get(name.request) else { return };
        let Some(pieces) = running.pieces.checked_sub(1) else { return };
        running.pieces = pieces;
        if let Some(medium) = &mut self.medium {
            medium.in_flight = medium.in_flight.saturating_sub(1);
        }
        let status = match completed.result {
            Err(error) => Status::of(error),
            Ok(()) => deliver(running, name.sector, &completed, context),
        };
        if running.status == Status::Done {
            running.status = status;
        }
        // The buffer goes back before anybody looks for one.
        drop(completed);
        if pieces == 0 && self.current != Some(name.request) {
            self.end(name.request, context);
        }
    }

    /// Every piece of a request has ended: flushes, if that is wanted, and then answers.
    pub(super) fn end(&mut self, index: u8, context: &mut Context<'_>) {
        let Some(running) = self.table.get(index) else { return };
        if running.status == Status::Done && running.durability == Durability::Wanted {
            running.durability = Durability::Unasked;
            self.submit(index, 0, Operation::Flush, context);
            return;
        }
        if let Some(Running { queue, chain, work, status, .. }) = self.table.remove(index) {
            let written = match work {
                Work::Data { direction: Direction::Read, range, .. } => range.bytes(),
                Work::Data { .. } | Work::Ranges(_) | Work::Flush => 0,
            };
            self.answer(queue, chain, status, written, context);
        }
    }

    fn tell_name(&mut self, queue: usize, chain: Chain, context: &mut Context<'_>) {
        let has_room = chain.writable_len() > NAME_BYTES as u64;
        let written = has_room.then(|| chain.write_at(context.memory(), 0, &self.name));
        let status = if written == Some(Ok(())) { Status::Done } else { Status::Error };
        self.answer(queue, chain, status, NAME_BYTES as u64, context);
    }

    /// Gives a request back with its status, the last byte that the driver lets the device write. Its first `data` bytes
    /// were written, if it was done.
    fn answer(
        &mut self,
        queue: usize,
        chain: Chain,
        status: Status,
        data: u64,
        context: &mut Context<'_>,
    ) {
        let data = if status == Status::Done { data } else { 0 };
        if status != Status::Done {
            self.statistics.error();
        }
        let len = chain.writable_len();
        let Some(last) = len.checked_sub(1) else { return };
        if chain.write_at(context.memory(), last, &[status as u8]).is_err() {
            return context.fail(Fault::Request);
        }
        // The length is of what was written from the first byte on without a gap (2.7.8.2).
        let written = if data == last { len } else { data };
        context.push(queue, chain, u32::try_from(written).unwrap_or(u32::MAX));
    }
}

/// Has the disk move a piece's data from or to the guest's memory, if it can.
fn transfer(
    disk: &dyn Disk,
    piece: Piece,
    chain: &Chain,
    memory: &dyn GuestMemory,
) -> Option<Result<(), DiskError>> {
    let Piece::Data { direction, sector, offset, bytes } = piece else { return None };
    match direction {
        Direction::Read => {
            let mut place = chain.writable_from(offset);
            let mut take =
                |data: &[u8]| place.write(memory, data).map_err(|_| DiskError::Cancelled);
            disk.transfer(sector, bytes, Transfer::Read(&mut take))
        }
        Direction::Write => {
            let mut place = chain.readable_from(HEADER_BYTES + offset);
            let mut fill =
                |data: &mut [u8]| place.read(memory, data).map_err(|_| DiskError::Cancelled);
            disk.transfer(sector, bytes, Transfer::Write(&mut fill))
        }
    }
}

/// Gives the guest what was read.
fn deliver(running: &Running, sector: u32, completed: &Completed, context: &Context<'_>) -> Status {
    let Work::Data { direction: Direction::Read, .. } = running.work else { return Status::Done };
    let Some(buffer) = &completed.buffer else { return Status::Error };
    let offset = u64::from(sector) * SECTOR_BYTES;
    match running.chain.write_at(context.memory(), offset, buffer) {
        Ok(()) => Status::Done,
        Err(_) => Status::Error,
    }
}
