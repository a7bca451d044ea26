//! From the port to the guest: each frame into one buffer, or over several that are given back together (5.1.6.4).

use super::header;
use super::pieces::Pieces;
use super::{Net, Port, RECEIVE, feature};
use crate::device::{Context, More};
use crate::fault::Fault;
use crate::queue::Chain;
use alloc::vec::Vec;

/// Bytes that one call moves before others have their turn.
const BUDGET_BYTES: usize = 512 << 10;
/// Frames, likewise.
const BUDGET_FRAMES: usize = 128;
/// Buffers that a frame may be spread over. A guest with smaller ones does not get the longest frames.
const MOST_BUFFERS: usize = 256;

/// What is on its way to the guest.
#[derive(Default)]
pub(super) struct Delivery {
    /// The frame that is handed over, perhaps in several pieces.
    pieces: Option<Pieces>,
    /// Buffers that were taken for the next piece.
    buffers: Vec<Chain>,
    /// Bytes that they hold.
    room: u64,
    /// Buffers that are full, and how many bytes are in each: kept for its memory.
    full: Vec<(Chain, u32)>,
}

impl Delivery {
    /// Forgets the frame, and keeps the buffers.
    pub(super) fn pieces_lost(&mut self) {
        self.pieces = None;
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether there are buffers for a piece.
enum Room {
    Enough,
    /// The driver will notify of more.
    NotYet,
    /// There never will be.
    Never,
}

impl<P: Port> Net<P> {
    /// Frames have come, or buffers for them. Gives the driver as much as it has buffers for; the rest follows when it has
    /// more.
    ///
    /// [`More::Yes`] if there is so much that it stopped before the end: ask again soon.
    pub fn receive(&mut self, context: &mut Context<'_>) -> More {
        if !context.is_running() {
            return More::No;
        }
        let mut budget = BUDGET_BYTES;
        for _ in 0..BUDGET_FRAMES {
            let Some(len) = self.next_len() else { return More::No };
            match self.make_room(len + header::BYTES, context) {
                Room::Enough => {}
                Room::NotYet => return More::No,
                Room::Never => {
                    self.statistics.find_no_room();
                    self.port.lost(len);
                    self.delivery.pieces = None;
                    continue;
                }
            }
            if self.hand_over(context).is_none() {
                context.fail(Fault::SegmentOutsideRam);
                return More::No;
            }
            budget = budget.saturating_sub(len);
            if budget == 0 {
                break;
            }
        }
        More::Yes
    }

    /// How long the next piece of what is to be handed over is.
    fn next_len(&mut self) -> Option<usize> {
        loop {
            if let Some(len) = self.delivery.pieces.as_ref().and_then(Pieces::next_len) {
                return Some(len);
            }
            self.delivery.pieces = None;
            // The port has no more than its queue holds, which ends this.
            let packet = self.port.receive()?;
            if self.filter.takes(packet.frame(), self.mac) {
                self.delivery.pieces = Some(Pieces::new(packet, self.accepts));
            }
        }
    }

    /// Takes buffers for `needed` bytes.
    fn make_room(&mut self, needed: usize, context: &mut Context<'_>) -> Room {
        let is_mergeable = context.features() & feature::MRG_RXBUF != 0;
        let most = if is_mergeable { MOST_BUFFERS } else { 1 };
        let Delivery { buffers, room, .. } = &mut self.delivery;
        while *room < needed as u64 {
            if buffers.len() >= most {
                return Room::Never;
            }
            let Some(chain) = context.pop(RECEIVE) else { return Room::NotYet };
            if chain.writable_len() < header::BYTES as u64 {
                context.fail(Fault::Request);
                return Room::NotYet;
            }
            *room += chain.writable_len();
            buffers.push(chain);
        }
        Room::Enough
    }

    /// Copies the next piece into the buffers that were taken for it.
    fn hand_over(&mut self, context: &mut Context<'_>) -> Option<()> {
        let Delivery { pieces, buffers, room, full } = &mut self.delivery;
        let piece = pieces.as_ref()?.piece()?;
        let memory = context.memory();
        let [head, body] = piece.parts();
        let header = piece.offload.write(u16::try_from(buffers.len()).ok()?);
        let parts = [&header[..], head, body];
        let mut parts = parts.iter().copied();
        let mut part = parts.next()?;
        let mut at = 0;
        for chain in buffers.drain(..) {
            let len = chain.writable_len();
            let mut place = chain.writable_from(0);
            let mut left = usize::try_from(len).unwrap_or(usize::MAX);
            let mut written = 0;
            loop {
                let (now, later) = part.split_at(part.len().min(left));
                place.write(memory, now).ok()?;
                (part, left, written) = (later, left - now.len(), written + now.len());
                if left == 0 {
                    break;
                }
                let Some(next) = parts.next() else { break };
                part = next;
            }
            if let Some((offset, bytes)) = piece.patch() {
                patch(&chain, memory, (header::BYTES + offset, bytes), at..at + written)?;
            }
            at += written;
            full.push((chain, u32::try_from(written).ok()?));
        }
        *room = 0;
        context.push_all(RECEIVE, full);
        if let Some(pieces) = pieces {
            pieces.advance();
        }
        Some(())
    }
}

/// Writes those of two bytes that fall into `part` of what a frame occupies in its buffers, which is what `chain` holds.
fn patch(
    chain: &Chain,
    memory: &dyn hv_core::guest::GuestMemory,
    (place, bytes): (usize, [u8; 2]),
    part: core::ops::Range<usize>,
) -> Option<()> {
    for (at, byte) in (place..).zip(bytes) {
        if part.contains(&at) {
            chain.write_at(memory, (at - part.start) as u64, &[byte]).ok()?;
        }
    }
    Some(())
}
