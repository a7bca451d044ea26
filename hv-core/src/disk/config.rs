//! What a block device says of itself: features and configuration space. Virtio 1.2, 5.2.3 and 5.2.4.

use super::{DiskInfo, RangeLimits, Writability, WriteCache};
use crate::device::{Notice, Place, VERSION_1};
use alloc::string::String;
use virtio_drivers::transport::Transport;

/// Bits of features.
pub(super) mod feature {
    pub(crate) const READ_ONLY: u64 = 1 << 5;
    pub(crate) const BLOCK_SIZE: u64 = 1 << 6;
    pub(crate) const FLUSH: u64 = 1 << 9;
    pub(crate) const TOPOLOGY: u64 = 1 << 10;
    pub(crate) const DISCARD: u64 = 1 << 13;
    pub(crate) const WRITE_ZEROES: u64 = 1 << 14;
    pub(crate) const EVENT_INDEX: u64 = 1 << 29;
    /// What the driver makes use of.
    pub(crate) const WANTED: u64 = READ_ONLY
        | BLOCK_SIZE
        | FLUSH
        | TOPOLOGY
        | DISCARD
        | WRITE_ZEROES
        | EVENT_INDEX
        | super::VERSION_1;
}

const SECTOR: u32 = 512;

mod offset {
    pub(super) const CAPACITY: usize = 0;
    pub(super) const BLOCK_SIZE: usize = 20;
    /// A byte of exponent, a byte of alignment, and the shortest length.
    pub(super) const TOPOLOGY: usize = 24;
    pub(super) const OPTIMAL: usize = 28;
    pub(super) const DISCARD_SECTORS: usize = 36;
    pub(super) const DISCARD_ALIGNMENT: usize = 44;
    pub(super) const ZERO_SECTORS: usize = 48;
}

/// Reads it, once `features` are negotiated. `None` if it makes no sense.
pub(super) fn read(
    transport: &impl Transport,
    features: u64,
    place: Place,
    notice: Notice,
) -> Option<DiskInfo> {
    let word = |offset| transport.read_config_space::<u32>(offset).ok();
    let has = |feature| features & feature != 0;
    let capacity = || {
        Ok([
            transport.read_config_space::<u32>(offset::CAPACITY)?,
            transport.read_config_space::<u32>(offset::CAPACITY + 4)?,
        ])
    };
    let [low, high] = transport.read_consistent(capacity).ok()?;
    let block_bytes = if has(feature::BLOCK_SIZE) { word(offset::BLOCK_SIZE)? } else { SECTOR };
    if !block_bytes.is_power_of_two() || block_bytes < SECTOR {
        return None;
    }
    let (topology, optimal_blocks) = if has(feature::TOPOLOGY) {
        (word(offset::TOPOLOGY)?, word(offset::OPTIMAL)?)
    } else {
        (0, 0)
    };
    let limits = |sectors: u32, alignment: u32| {
        (sectors > 0).then_some(RangeLimits { sectors, alignment_sectors: alignment.max(1) })
    };
    let discard = if has(feature::DISCARD) {
        limits(word(offset::DISCARD_SECTORS)?, word(offset::DISCARD_ALIGNMENT)?)
    } else {
        None
    };
    let write_zeroes =
        if has(feature::WRITE_ZEROES) { limits(word(offset::ZERO_SECTORS)?, 1) } else { None };
    Some(DiskInfo {
        place,
        notice,
        serial: String::new(),
        sectors: u64::from(high) << 32 | u64::from(low),
        block_bytes,
        physical_exponent: (topology as u8).min(16),
        minimum_blocks: (topology >> 16) as u16,
        optimal_blocks,
        writability: if has(feature::READ_ONLY) {
            Writability::ReadOnly
        } else {
            Writability::Writable
        },
        cache: if has(feature::FLUSH) { WriteCache::Volatile } else { WriteCache::None },
        discard,
        write_zeroes,
    })
}
