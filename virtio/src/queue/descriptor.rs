//! A descriptor of either layout: 16 bytes (2.7.5, 2.8.13).

use super::chain::Segment;
use hv_core::guest::GuestPhysAddr;

/// Bytes of a descriptor.
pub(super) const BYTES: u64 = 16;

/// Flags of a descriptor.
pub(super) mod flag {
    /// The chain continues.
    pub(in super::super) const NEXT: u16 = 1;
    /// The device writes the segment.
    pub(in super::super) const WRITE: u16 = 2;
    /// The segment is a table of descriptors.
    pub(in super::super) const INDIRECT: u16 = 4;
    /// Packed: equals the driver's wrap counter if the descriptor is available.
    pub(in super::super) const AVAILABLE: u16 = 1 << 7;
    /// Packed: differs from the driver's wrap counter if the descriptor is available.
    pub(in super::super) const USED: u16 = 1 << 15;
}

/// A copy of a descriptor. The last two fields are the other way round in the two layouts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    addr: GuestPhysAddr,
    pub(super) len: u32,
    pub(super) flags: u16,
    /// The next descriptor's index (split), or the buffer's identifier (packed).
    pub(super) link: u16,
}

impl Descriptor {
    pub(super) fn split(bytes: [u8; 16]) -> Self {
        let (addr, len, [flags, link]) = fields(bytes);
        Self { addr, len, flags, link }
    }

    pub(super) fn packed(bytes: [u8; 16]) -> Self {
        let (addr, len, [link, flags]) = fields(bytes);
        Self { addr, len, flags, link }
    }

    pub(super) fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn segment(self) -> Segment {
        Segment { addr: self.addr, len: self.len }
    }
}

fn fields(bytes: [u8; 16]) -> (GuestPhysAddr, u32, [u16; 2]) {
    let value = u128::from_le_bytes(bytes);
    let halves = [(value >> 96) as u16, (value >> 112) as u16];
    (GuestPhysAddr(value as u64), (value >> 64) as u32, halves)
}
