//! What block devices and drivers say to each other: feature bits, the configuration space, requests (virtio 1.2, 5.2).

use crate::disk::{Access, Geometry};
use crate::queue::MAX_SEGMENTS;

/// `VIRTIO_BLK_F_SEG_MAX`: the configuration says how many segments a request may have.
pub(super) const F_SEG_MAX: u64 = 1 << 2;
/// `VIRTIO_BLK_F_RO`: the disk is read-only.
pub(super) const F_READ_ONLY: u64 = 1 << 5;
/// `VIRTIO_BLK_F_BLK_SIZE`: the configuration says how large a block is.
pub(super) const F_BLOCK_SIZE: u64 = 1 << 6;
/// `VIRTIO_BLK_F_FLUSH`: there is a command to flush.
pub(super) const F_FLUSH: u64 = 1 << 9;
/// `VIRTIO_BLK_F_TOPOLOGY`: the configuration says what lengths and alignments are fast.
pub(super) const F_TOPOLOGY: u64 = 1 << 10;
/// `VIRTIO_BLK_F_CONFIG_WCE`: the driver may choose whether writes have to be flushed.
pub(super) const F_CACHE_MODE: u64 = 1 << 11;
/// `VIRTIO_BLK_F_MQ`: there are several queues.
pub(super) const F_QUEUES: u64 = 1 << 12;
/// `VIRTIO_BLK_F_DISCARD`: there is a command to discard.
pub(super) const F_DISCARD: u64 = 1 << 13;
/// `VIRTIO_BLK_F_WRITE_ZEROES`: there is a command to write zeroes.
pub(super) const F_WRITE_ZEROES: u64 = 1 << 14;

/// Bytes of a request's header: type, a reserved word, sector.
pub(super) const HEADER_BYTES: u64 = 16;
/// Bytes of a range that is to be discarded or zeroed: sector, count, flags.
pub(super) const RANGE_BYTES: u64 = 16;
/// Bytes of the disk's name.
pub(super) const NAME_BYTES: usize = 20;
/// The flag of a range that may lose its storage.
pub(super) const RANGE_UNMAP: u32 = 1 << 0;

/// The most ranges of a request.
pub(super) const MOST_RANGES: u32 = 16;
/// The most sectors of a range: 1 GiB. The disk gets it in pieces.
pub(super) const MOST_RANGE_SECTORS: u32 = 1 << 21;
/// The most segments of data of a request: no chain may be longer than its queue (2.7.5.3.1), and two descriptors are for
/// header and status.
pub(super) const SEGMENTS: u32 = QUEUE_SIZE as u32 - 2;
/// Entries of a queue.
pub(super) const QUEUE_SIZE: u16 = 256;
const _: () = assert!(QUEUE_SIZE as usize <= MAX_SEGMENTS);

/// The types of requests (5.2.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Type {
    Read,
    Write,
    Flush,
    Name,
    Discard,
    WriteZeroes,
}

impl Type {
    pub(super) const fn of(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Read,
            1 => Self::Write,
            4 => Self::Flush,
            8 => Self::Name,
            11 => Self::Discard,
            13 => Self::WriteZeroes,
            _ => return None,
        })
    }
}

/// How a request ended, as its last byte says (5.2.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Status {
    Done = 0,
    Error = 1,
    Unsupported = 2,
}

/// The offset of the only field that a driver may write.
pub(super) const CACHE_MODE_OFFSET: u64 = 32;

/// The configuration space (5.2.4), in the order of the specification.
pub(super) struct Space {
    bytes: [u8; Self::BYTES],
}

impl Space {
    pub(super) const BYTES: usize = 60;

    /// That of a disk, or of none if `geometry` has no sectors.
    pub(super) fn new(geometry: &Geometry, writes_back: u8, queues: u16) -> Self {
        let mut space = Self { bytes: [0; Self::BYTES] };
        space.put(0, &geometry.sectors.to_le_bytes());
        space.put(12, &SEGMENTS.to_le_bytes());
        space.put(20, &geometry.block_bytes.to_le_bytes());
        space.put(24, &[geometry.physical_exponent]);
        space.put(26, &geometry.minimum_blocks.to_le_bytes());
        space.put(28, &geometry.optimal_blocks.to_le_bytes());
        space.put(CACHE_MODE_OFFSET as usize, &[writes_back]);
        space.put(34, &queues.to_le_bytes());
        if let Some(limits) = geometry.discard {
            space.put(36, &MOST_RANGE_SECTORS.to_le_bytes());
            space.put(40, &MOST_RANGES.to_le_bytes());
            space.put(44, &limits.alignment_sectors.to_le_bytes());
        }
        if geometry.write_zeroes.is_some() {
            space.put(48, &MOST_RANGE_SECTORS.to_le_bytes());
            space.put(52, &MOST_RANGES.to_le_bytes());
            // Ranges may lose their storage.
            space.put(56, &[1]);
        }
        space
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(&mut self, offset: usize, field: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(offset).zip(field) {
            *place = *byte;
        }
    }
}

/// What is offered to a driver of a disk like `geometry`.
pub(super) fn features(geometry: &Geometry, queues: u16) -> u64 {
    let mut features = F_SEG_MAX | F_BLOCK_SIZE | F_TOPOLOGY | F_FLUSH | F_CACHE_MODE;
    if queues > 1 {
        features |= F_QUEUES;
    }
    if geometry.access == Access::ReadOnly {
        return features | F_READ_ONLY;
    }
    if geometry.discard.is_some() {
        features |= F_DISCARD;
    }
    if geometry.write_zeroes.is_some() {
        features |= F_WRITE_ZEROES;
    }
    features
}
