//! Collecting the segments of one chain, each checked as it comes.

use super::MAX_SEGMENTS;
use super::chain::{Chain, Segment};
use super::descriptor::{self, Descriptor, flag};
use super::ring::{self, Areas};
use crate::fault::Fault;
use hv_core::guest::{GuestMemory, GuestPhysAddr};

/// The most bytes of all segments together (2.7.5.2).
const MAX_BYTES: u64 = 1 << 32;

/// Adds the segment of `descriptor` to `chain`.
pub(super) fn add(
    memory: &dyn GuestMemory,
    areas: &Areas,
    chain: &mut Chain,
    descriptor: Descriptor,
) -> Result<(), Fault> {
    let segment = descriptor.segment();
    if segment.len == 0 {
        return Err(Fault::ZeroLength);
    }
    if chain.count() >= MAX_SEGMENTS {
        return Err(Fault::ChainLength);
    }
    if chain.readable_len() + chain.writable_len() + u64::from(segment.len) > MAX_BYTES {
        return Err(Fault::TotalLength);
    }
    if !memory.contains(segment.addr, u64::from(segment.len)) {
        return Err(Fault::SegmentOutsideRam);
    }
    chain.reserve().map_err(|_| Fault::HostMemory)?;
    if descriptor.has(flag::WRITE) {
        if areas.overlaps(segment) {
            return Err(Fault::SegmentOverlap);
        }
        chain.add_writable(segment);
    } else if chain.writable().is_empty() {
        chain.add_readable(segment);
    } else {
        return Err(Fault::SegmentOrder);
    }
    Ok(())
}

/// Checks what only the whole chain shows.
pub(super) fn finish(chain: &Chain) -> Result<(), Fault> {
    let (readable, writable) = (chain.readable(), chain.writable());
    // Segments of one kind may overlap: a program reads the same page twice, or into the same page twice. Mostly
    // the two kinds lie in different places, or one of them is a header or a status of one segment.
    if !spans_overlap(readable, writable) {
        return Ok(());
    }
    let clashes = |written: &Segment| readable.iter().any(|read| read.overlaps(*written));
    if writable.iter().any(clashes) { Err(Fault::SegmentOverlap) } else { Ok(()) }
}

fn spans_overlap(first: &[Segment], second: &[Segment]) -> bool {
    let (first_start, first_end) = span(first);
    let (second_start, second_end) = span(second);
    first_start < second_end && second_start < first_end
}

fn span(segments: &[Segment]) -> (u64, u64) {
    segments.iter().fold((u64::MAX, 0), |(start, end), segment| {
        let segment_end = segment.addr.0.saturating_add(u64::from(segment.len));
        (start.min(segment.addr.0), end.max(segment_end))
    })
}

/// A table of descriptors somewhere in RAM, which a descriptor points to.
pub(super) struct Table {
    addr: GuestPhysAddr,
    pub(super) len: u32,
}

impl Table {
    /// The table that `descriptor` points to. Its write flag is ignored (2.7.5.3.2).
    pub(super) fn of(
        memory: &dyn GuestMemory,
        areas: &Areas,
        descriptor: Descriptor,
    ) -> Result<Self, Fault> {
        if !areas.indirect {
            return Err(Fault::IndirectNotNegotiated);
        }
        if descriptor.has(flag::NEXT) {
            return Err(Fault::IndirectChained);
        }
        let Segment { addr, len } = descriptor.segment();
        let bytes = u64::from(len);
        if len == 0 || !bytes.is_multiple_of(descriptor::BYTES) {
            return Err(Fault::IndirectSize);
        }
        if !memory.contains(addr, bytes) {
            return Err(Fault::SegmentOutsideRam);
        }
        Ok(Self { addr, len: len / descriptor::BYTES as u32 })
    }

    /// The bytes of descriptor `index`, which is in the table.
    pub(super) fn read(&self, memory: &dyn GuestMemory, index: u32) -> Result<[u8; 16], Fault> {
        let offset = descriptor::BYTES * u64::from(index);
        let addr = self.addr.checked_add(offset).ok_or(Fault::SegmentOutsideRam)?;
        ring::read(memory, addr)
    }
}
