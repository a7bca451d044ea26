//! What a driver asks for: its request, read once and checked against the disk.

use super::wire::{
    F_DISCARD, F_READ_ONLY, F_WRITE_ZEROES, HEADER_BYTES, MOST_RANGE_SECTORS, MOST_RANGES,
    RANGE_BYTES, RANGE_UNMAP, Status, Type,
};
use crate::disk::{Access, DiskError, Geometry, SectorRange, Unmap};
use crate::queue::Chain;
use alloc::collections::VecDeque;
use hv_core::guest::GuestMemory;

/// A request that the disk can do, as far as it has not been given to it.
#[derive(Debug)]
pub(super) enum Work {
    /// Data, of which the first `done` sectors have been given to the disk.
    Data { direction: Direction, range: SectorRange, done: u64 },
    /// A flush.
    Flush,
    /// Ranges to be zeroed or discarded. Few: see [`MOST_RANGES`].
    Ranges(VecDeque<Task>),
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Direction {
    /// From the disk.
    Read,
    /// To the disk.
    Write,
}

/// What is to be done with a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Task {
    Discard(SectorRange),
    WriteZeroes(SectorRange, Unmap),
}

/// What a request turned out to be.
#[derive(Debug)]
pub(super) enum Request {
    /// Something for the disk.
    Work(Work),
    /// The disk's name is asked for.
    Name,
    /// Nothing that can be done.
    Refused(Status),
    /// There is no place for an answer, or no header.
    Malformed,
}

/// The disk, as far as it matters to requests, and what was agreed on with the driver.
pub(super) struct Terms<'a> {
    /// `None` if there is no disk.
    pub(super) geometry: Option<&'a Geometry>,
    pub(super) features: u64,
}

/// Reads the request in `chain`.
pub(super) fn read(chain: &Chain, memory: &dyn GuestMemory, terms: &Terms<'_>) -> Request {
    let mut header = [0; HEADER_BYTES as usize];
    if chain.writable_len() == 0 || chain.read_at(memory, 0, &mut header).is_err() {
        return Request::Malformed;
    }
    let header = u128::from_le_bytes(header);
    let (kind, sector) = (header as u32, (header >> 64) as u64);
    let Some(kind) = Type::of(kind) else { return Request::Refused(Status::Unsupported) };
    if kind == Type::Name {
        return Request::Name;
    }
    match work(kind, sector, chain, memory, terms) {
        Ok(work) => Request::Work(work),
        Err(status) => Request::Refused(status),
    }
}

fn work(
    kind: Type,
    sector: u64,
    chain: &Chain,
    memory: &dyn GuestMemory,
    terms: &Terms<'_>,
) -> Result<Work, Status> {
    let geometry = terms.geometry.ok_or(Status::Error)?;
    let is_read_only = geometry.access == Access::ReadOnly || terms.features & F_READ_ONLY != 0;
    match kind {
        Type::Read => data(Direction::Read, sector, chain.writable_len() - 1, geometry),
        // The device must not write if it says that it is read-only (5.2.6.2).
        Type::Write | Type::Discard | Type::WriteZeroes if is_read_only => Err(Status::Error),
        Type::Write => {
            let bytes = chain.readable_len() - HEADER_BYTES;
            data(Direction::Write, sector, bytes, geometry)
        }
        Type::Discard if terms.features & F_DISCARD == 0 => Err(Status::Unsupported),
        Type::WriteZeroes if terms.features & F_WRITE_ZEROES == 0 => Err(Status::Unsupported),
        Type::Discard | Type::WriteZeroes => ranges(kind, chain, memory, geometry),
        Type::Flush => Ok(Work::Flush),
        Type::Name => Err(Status::Unsupported),
    }
}

fn data(
    direction: Direction,
    sector: u64,
    bytes: u64,
    geometry: &Geometry,
) -> Result<Work, Status> {
    let range = SectorRange::of_bytes(sector, bytes).ok_or(Status::Error)?;
    check(range, geometry)?;
    Ok(Work::Data { direction, range, done: 0 })
}

fn ranges(
    kind: Type,
    chain: &Chain,
    memory: &dyn GuestMemory,
    geometry: &Geometry,
) -> Result<Work, Status> {
    let bytes = chain.readable_len() - HEADER_BYTES;
    let count = bytes / RANGE_BYTES;
    if !bytes.is_multiple_of(RANGE_BYTES) || count == 0 || count > u64::from(MOST_RANGES) {
        return Err(Status::Error);
    }
    let mut tasks = VecDeque::new();
    tasks.try_reserve_exact(count as usize).map_err(|_| Status::Error)?;
    for index in 0..count {
        let mut range = [0; RANGE_BYTES as usize];
        let offset = HEADER_BYTES + index * RANGE_BYTES;
        chain.read_at(memory, offset, &mut range).map_err(|_| Status::Error)?;
        let range = u128::from_le_bytes(range);
        let (sector, count, flags) = (range as u64, (range >> 64) as u32, (range >> 96) as u32);
        // Flags first: what is not understood is not an error (5.2.6.2).
        let task = match (kind, flags) {
            (Type::Discard, 0) => Task::Discard,
            (Type::WriteZeroes, 0) => |range| Task::WriteZeroes(range, Unmap::Refused),
            (Type::WriteZeroes, RANGE_UNMAP) => |range| Task::WriteZeroes(range, Unmap::Allowed),
            _ => return Err(Status::Unsupported),
        };
        let range = SectorRange::new(sector, u64::from(count)).ok_or(Status::Error)?;
        if count > MOST_RANGE_SECTORS {
            return Err(Status::Error);
        }
        check(range, geometry)?;
        if !range.is_empty() {
            tasks.push_back(task(range));
        }
    }
    Ok(Work::Ranges(tasks))
}

fn check(range: SectorRange, geometry: &Geometry) -> Result<(), Status> {
    if range.is_within(geometry.sectors) && range.is_aligned(geometry.block_bytes) {
        Ok(())
    } else {
        Err(Status::Error)
    }
}

impl Status {
    /// What a driver is told of an error.
    pub(super) fn of(error: DiskError) -> Self {
        match error {
            DiskError::Unsupported => Self::Unsupported,
            DiskError::Medium
            | DiskError::OutOfRange
            | DiskError::Unaligned
            | DiskError::ReadOnly
            | DiskError::Late
            | DiskError::NoSpace
            | DiskError::Busy
            | DiskError::Cancelled => Self::Error,
        }
    }
}
