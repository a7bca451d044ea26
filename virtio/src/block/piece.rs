//! Pieces: what the disk gets of a request at a time, and their names.
//!
//! A piece's name says to which life of the device, which request, and which place in it the piece belongs, so that
//! nothing has to be looked up when it has ended, and what ends after a reset is known for what it is.

use super::request::{Direction, Task, Work};
use crate::disk::buffer::LARGE_BYTES;
use crate::disk::{Geometry, Operation, RequestId, SECTOR_BYTES, SectorRange};

/// Whose piece it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Name {
    /// Which life of the device; it grows at each reset and each change of the disk.
    pub(super) life: u32,
    /// Place of the request in the table.
    pub(super) request: u8,
    /// The first sector, counted from the request's; fits because a chain has at most 4 GiB.
    pub(super) sector: u32,
}

/// Lives have so many bits, and then begin anew: what a disk has from so long ago it has lost.
const LIFE_BITS: u32 = 24;

impl Name {
    pub(super) const fn next_life(life: u32) -> u32 {
        life.wrapping_add(1) & ((1 << LIFE_BITS) - 1)
    }

    pub(super) const fn id(self) -> RequestId {
        let id = (self.life as u64) << 40 | (self.request as u64) << 32 | self.sector as u64;
        RequestId(id)
    }

    pub(super) const fn of(id: RequestId) -> Self {
        Self { life: (id.0 >> 40) as u32, request: (id.0 >> 32) as u8, sector: id.0 as u32 }
    }
}

/// The next thing to be done of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// Transfers data that begins `offset` bytes after the beginning of the request's.
    Data { direction: Direction, sector: u64, offset: u64, bytes: usize },
    /// Something without data.
    Task(Task),
    /// A flush.
    Flush,
}

impl Piece {
    /// The sector, counted from the request's first.
    pub(super) fn place(self) -> u32 {
        match self {
            Self::Data { offset, .. } => (offset / SECTOR_BYTES) as u32,
            Self::Task(_) | Self::Flush => 0,
        }
    }
}

impl Task {
    fn range(self) -> SectorRange {
        match self {
            Self::Discard(range) | Self::WriteZeroes(range, _) => range,
        }
    }

    fn with_range(self, range: SectorRange) -> Self {
        match self {
            Self::Discard(_) => Self::Discard(range),
            Self::WriteZeroes(_, unmap) => Self::WriteZeroes(range, unmap),
        }
    }

    fn most_sectors(self, geometry: &Geometry) -> u64 {
        let limits = match self {
            Self::Discard(_) => geometry.discard,
            Self::WriteZeroes(..) => geometry.write_zeroes,
        };
        // A disk that cannot do it says so itself.
        let most = limits.map_or(u64::MAX, |limits| u64::from(limits.sectors));
        let block = (u64::from(geometry.block_bytes) / SECTOR_BYTES).max(1);
        most.saturating_sub(most % block).max(block)
    }

    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Discard(range) => Operation::Discard(range),
            Self::WriteZeroes(range, unmap) => Operation::WriteZeroes(range, unmap),
        }
    }
}

impl Work {
    /// The next piece. `None` if the disk has been given all.
    pub(super) fn next(&self, geometry: &Geometry) -> Option<Piece> {
        match self {
            Self::Data { direction, range, done } => {
                let left = range.bytes() - done * SECTOR_BYTES;
                let bytes = left.min(LARGE_BYTES as u64) as usize;
                (bytes != 0).then_some(Piece::Data {
                    direction: *direction,
                    sector: range.start() + done,
                    offset: done * SECTOR_BYTES,
                    bytes,
                })
            }
            Self::Flush => Some(Piece::Flush),
            Self::Ranges(tasks) => {
                let task = *tasks.front()?;
                let (now, _) = task.range().split(task.most_sectors(geometry));
                Some(Piece::Task(task.with_range(now)))
            }
        }
    }

    /// `piece`, which was the next, has been given to the disk.
    pub(super) fn advance(&mut self, piece: Piece) {
        match (self, piece) {
            (Self::Data { done, .. }, Piece::Data { bytes, .. }) => {
                *done += bytes as u64 / SECTOR_BYTES;
            }
            (Self::Ranges(tasks), Piece::Task(begun)) => {
                let Some(task) = tasks.front_mut() else { return };
                let (_, rest) = task.range().split(begun.range().count());
                if rest.is_empty() {
                    tasks.pop_front();
                } else {
                    *task = task.with_range(rest);
                }
            }
            (this @ Self::Flush, _) => *this = Self::Ranges(Default::default()),
            (Self::Data { .. } | Self::Ranges(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn a_name_is_what_its_number_says(life in 0..1u32 << LIFE_BITS, request: u8, sector: u32) {
            let name = Name { life, request, sector };
            prop_assert_eq!(Name::of(name.id()), name);
        }
    }

    #[test]
    fn lives_begin_anew() {
        assert_eq!(Name::next_life((1 << LIFE_BITS) - 1), 0);
    }
}
