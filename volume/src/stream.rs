//! Reading a file of a disk without waiting for the disk.
//!
//! ```text
//!   reader ──read_at──► pieces of 64 KiB of the file ◄──hear── requests for the runs of each piece ──► Disk
//!             │          (the last ones used, and those ahead)
//!             └─ NotYet: ask again when the disk has answered
//! ```
//!
//! Its memory is a fixed number of pieces, whatever the length of the file; it has none before it is read, and none after
//! [`Stream::release`].
//!
//! Locks: one, held while the disk is called, which never calls back then.

use super::FileMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use hv_core::sync::Mutex;
use virtio::disk::buffer::{LARGE_BYTES, PoolSize};
use virtio::disk::{
    BufferPool, Completed, Completer, Disk, DiskError, News, Operation, Request, RequestId,
    SECTOR_BYTES, Submitted,
};

/// Bytes of the file that are fetched together.
const PIECE_BYTES: usize = 64 << 10;
/// How many pieces there are at most.
const PIECES: usize = 8;
/// How many pieces behind the one that is read are fetched with it.
const AHEAD: u64 = 4;
/// The most pieces that one read may touch: there must be room for them with those ahead.
const TOUCHED: u64 = 3;
/// Requests that the disk may have at a time.
const REQUESTS: usize = 6;

/// Why bytes cannot be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamError {
    /// The disk has not answered yet.
    NotYet,
    /// The file ends before them.
    PastEnd,
    /// So many cannot be read at once.
    TooMany,
    /// The disk has failed. Another read tries again.
    Disk(DiskError),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("the disk has not answered yet"),
            Self::PastEnd => f.write_str("the file ends too early"),
            Self::TooMany => f.write_str("so much cannot be read at once"),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

/// A file of a disk.
pub struct Stream {
    disk: Arc<dyn Disk>,
    map: Arc<FileMap>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pieces: Vec<Piece>,
    flights: Vec<Flight>,
    pool: Option<BufferPool>,
    last_id: u64,
    /// Counts reads: the piece that was used longest ago goes first.
    clock: u64,
    /// The last piece that was read, and whether it followed the one before: only then those ahead are fetched.
    last: u64,
    follows: bool,
}

/// A piece of the file, as far as it is there.
struct Piece {
    /// Its own number: a request for another one of the same place is not for it.
    serial: u64,
    index: u64,
    memory: Vec<u8>,
    /// How many of its bytes were asked for, and how many came.
    asked: usize,
    came: usize,
    error: Option<DiskError>,
    used: u64,
}

/// A request that the disk has.
struct Flight {
    id: RequestId,
    /// For which piece, by its number, and where its bytes go there.
    piece: u64,
    to: usize,
    bytes: usize,
    /// How many bytes in front of them were read because the disk has blocks.
    skipped: usize,
}

impl Stream {
    /// The file at `map` on `disk`, of which it is the only client.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, map: Arc<FileMap>) -> Arc<Self> {
        let stream = Arc::new(Self { disk, map, state: Mutex::new(State::default()) });
        let completer: Weak<Self> = Arc::downgrade(&stream);
        stream.disk.connect(completer);
        stream
    }

    /// How long the file is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.map.bytes()
    }

    /// Fills `buf` with what is at `offset`, if it is there already.
    ///
    /// # Errors
    ///
    /// [`StreamError`]; after [`StreamError::NotYet`] the bytes are on their way.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StreamError> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.bytes());
        let end = end.ok_or(StreamError::PastEnd)?;
        if buf.is_empty() {
            return Ok(());
        }
        let (first, last) = (offset / PIECE_BYTES as u64, (end - 1) / PIECE_BYTES as u64);
        if last - first >= TOUCHED {
            return Err(StreamError::TooMany);
        }
        let mut state = self.state.lock();
        state.clock += 1;
        if first != state.last {
            state.follows = first == state.last + 1;
            state.last = first;
        }
        let ahead = if state.follows { AHEAD } else { 0 };
        let pieces = self.bytes().div_ceil(PIECE_BYTES as u64);
        for index in first..(last + 1 + ahead).min(pieces) {
            state.want(index, self.length_of(index), first..=last).map_err(StreamError::Disk)?;
        }
        self.ask(&mut state);
        state.copy(offset, buf, first..=last)
    }

    /// Nothing more is read for now: gives back its memory.
    pub fn release(&self) {
        let had = core::mem::take(&mut *self.state.lock());
        if !had.flights.is_empty() {
            self.disk.cancel();
        }
    }

    /// How long a piece is.
    fn length_of(&self, index: u64) -> usize {
        (self.bytes() - index * PIECE_BYTES as u64).min(PIECE_BYTES as u64) as usize
    }

    /// Gives the disk requests for what is wanted and not asked for yet, as many as it may have.
    fn ask(&self, state: &mut State) {
        let mut has_asked = false;
        while state.flights.len() < REQUESTS {
            let missing =
                |piece: &&mut Piece| piece.error.is_none() && piece.asked < piece.memory.len();
            // Those of lower index first: they are read first.
            let next = state.pieces.iter_mut().filter(missing).min_by_key(|piece| piece.index);
            let Some(piece) = next else { break };
            let offset = piece.index * PIECE_BYTES as u64 + piece.asked as u64;
            let left = piece.memory.len() - piece.asked;
            let Some(run) = self.map.rest_at(offset) else {
                piece.error = Some(DiskError::OutOfRange);
                continue;
            };
            let bytes = run.bytes.min(left as u64) as usize;
            let Some(at) = run.at else {
                piece.asked += bytes;
                piece.came += bytes;
                continue;
            };
            let block = u64::from(self.disk.geometry().block_bytes).max(SECTOR_BYTES);
            let skipped = (at % block) as usize;
            let bytes = bytes.min(LARGE_BYTES.saturating_sub(skipped));
            let whole = (skipped + bytes).next_multiple_of(block as usize);
            let buffer = state.pool.as_ref().and_then(|pool| pool.take(whole));
            let Some(buffer) = buffer.filter(|_| bytes > 0) else {
                // Those that are late come back when the disk is done with them, if ever.
                if state.flights.is_empty() {
                    piece.error = Some(DiskError::Late);
                }
                break;
            };
            state.last_id += 1;
            let id = RequestId(state.last_id);
            let sector = (at - skipped as u64) / SECTOR_BYTES;
            let flight = Flight { id, piece: piece.serial, to: piece.asked, bytes, skipped };
            piece.asked += bytes;
            state.flights.push(flight);
            let operation = Operation::Read { sector, buffer };
            match self.disk.submit(Request { id, operation }) {
                Submitted::Done(completed) => state.land(&completed),
                Submitted::Later => has_asked = true,
            }
        }
        if has_asked {
            self.disk.start();
        }
    }
}

impl Completer for Stream {
    fn hear(&self, news: Vec<News>) {
        let mut state = self.state.lock();
        for news in news {
            if let News::Ended(completed) = news {
                state.land(&completed);
            }
        }
        if state.pool.is_some() {
            self.ask(&mut state);
        }
    }
}

impl State {
    /// Makes room for a piece, unless it is there. Those of `needed` are kept.
    fn want(
        &mut self,
        index: u64,
        length: usize,
        needed: core::ops::RangeInclusive<u64>,
    ) -> Result<(), DiskError> {
        if self.pool.is_none() {
            let pool = BufferPool::new(PoolSize { small: 0, large: REQUESTS });
            self.pool = Some(pool.map_err(|_| DiskError::NoSpace)?);
        }
        let clock = self.clock;
        if let Some(piece) = self.pieces.iter_mut().find(|piece| piece.index == index) {
            piece.used = clock;
            return Ok(());
        }
        let mut memory = Vec::new();
        if self.pieces.len() >= PIECES {
            let oldest = self.pieces.iter().enumerate();
            let oldest = oldest.filter(|(_, piece)| !needed.contains(&piece.index));
            let oldest = oldest.min_by_key(|(_, piece)| piece.used).map(|(at, _)| at);
            let Some(oldest) = oldest else { return Ok(()) };
            memory = self.pieces.swap_remove(oldest).memory;
            memory.clear();
        }
        memory.try_reserve_exact(PIECE_BYTES).map_err(|_| DiskError::NoSpace)?;
        // Zeroes: what was read before must not show where a file has a hole.
        memory.resize(length, 0);
        self.last_id += 1;
        let serial = self.last_id;
        let piece = Piece { serial, index, memory, asked: 0, came: 0, error: None, used: clock };
        self.pieces.push(piece);
        Ok(())
    }

    /// A request has ended. One of a piece that is gone meanwhile is of no use.
    fn land(&mut self, completed: &Completed) {
        let Some(at) = self.flights.iter().position(|flight| flight.id == completed.id) else {
            return;
        };
        let Flight { piece, to, bytes, skipped, .. } = self.flights.swap_remove(at);
        let Some(piece) = self.pieces.iter_mut().find(|of| of.serial == piece) else { return };
        let data =
            completed.buffer.as_ref().and_then(|buffer| buffer.get(skipped..skipped + bytes));
        match (completed.result, piece.memory.get_mut(to..to + bytes), data) {
            (Ok(()), Some(room), Some(data)) => {
                room.copy_from_slice(data);
                piece.came += bytes;
            }
            (Ok(()), _, _) => piece.error = Some(DiskError::Medium),
            (Err(error), _, _) => piece.error = Some(error),
        }
    }

    /// Copies what was read, if all of it is there.
    fn copy(
        &mut self,
        offset: u64,
        buf: &mut [u8],
        needed: core::ops::RangeInclusive<u64>,
    ) -> Result<(), StreamError> {
        for index in needed.clone() {
            let at = self.pieces.iter().position(|piece| piece.index == index);
            let Some(piece) = at.and_then(|at| self.pieces.get(at)) else {
                return Err(StreamError::NotYet);
            };
            if let Some(error) = piece.error {
                // Tried anew at the next read.
                self.pieces.retain(|piece| piece.index != index);
                return Err(StreamError::Disk(error));
            }
            if piece.came < piece.memory.len() {
                return Err(StreamError::NotYet);
            }
        }
        let mut rest = buf;
        let mut offset = offset;
        for index in needed {
            let piece = self.pieces.iter().find(|piece| piece.index == index);
            let start = (offset - index * PIECE_BYTES as u64) as usize;
            let data = piece.and_then(|piece| piece.memory.get(start..)).unwrap_or_default();
            let count = data.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(data.get(..count).unwrap_or_default());
            offset += count as u64;
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
