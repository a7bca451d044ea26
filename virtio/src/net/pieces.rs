//! A packet as its receiver takes it: as it is, with its checksum completed, or cut into segments.
//!
//! The sender does nothing of that: who receives less does more.

use super::checksum::Sum;
use super::header::{Offload, Segments};
use super::layers::{ETHERNET, Version, be16, put_be16};
use super::packet::Packet;
use alloc::sync::Arc;
use core::ops::Range;

/// What a receiver does itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepts {
    /// It takes frames without a complete checksum.
    pub checksum: bool,
    /// It takes segments of TCP over IPv4 together. It must take checksums, too.
    pub tcp4: bool,
    /// And over IPv6.
    pub tcp6: bool,
}

impl Accepts {
    /// Nothing: frames as they are on a wire.
    pub const NOTHING: Self = Self { checksum: false, tcp4: false, tcp6: false };
    /// Everything.
    pub const ALL: Self = Self { checksum: true, tcp4: true, tcp6: true };
}

/// Headers of a segment are at most so long: the head of a frame that was looked at.
pub const HEAD_BYTES: usize = 192;

/// A frame for the receiver: its headers, if they are other than in the packet, what follows them, and two bytes that replace
/// others.
#[derive(Debug)]
pub struct Piece<'a> {
    head: [u8; HEAD_BYTES],
    head_len: usize,
    body: &'a [u8],
    patch: Option<(usize, [u8; 2])>,
    /// What is left to be done by the receiver.
    pub offload: Offload,
}

impl Piece<'_> {
    /// Its bytes, in order: two parts.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 2] {
        [self.head.get(..self.head_len).unwrap_or_default(), self.body]
    }

    /// How long it is.
    #[expect(clippy::len_without_is_empty, reason = "no frame is empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.head_len + self.body.len()
    }

    /// Two bytes to be written over the others, and where.
    #[must_use]
    pub fn patch(&self) -> Option<(usize, [u8; 2])> {
        self.patch
    }

    /// Copies it to `buf`; how long it is. `None` if there is not as much room.
    pub fn copy_to(&self, buf: &mut [u8]) -> Option<usize> {
        let [head, body] = self.parts();
        let len = head.len() + body.len();
        let (for_head, for_body) = buf.get_mut(..len)?.split_at_mut(head.len());
        for_head.copy_from_slice(head);
        for_body.copy_from_slice(body);
        if let Some((at, bytes)) = self.patch {
            buf.get_mut(at..at + 2)?.copy_from_slice(&bytes);
        }
        Some(len)
    }
}

/// A packet that is handed over piece by piece.
#[derive(Debug)]
pub struct Pieces {
    packet: Arc<Packet>,
    accepts: Accepts,
    /// `None` if it is handed over in one piece.
    cut: Option<Segments>,
    /// Bytes of the frame that were handed over.
    done: usize,
    /// Segments that were.
    count: u16,
}

impl Pieces {
    /// `packet`, for a receiver that does `accepts` itself.
    #[must_use]
    pub fn new(packet: Arc<Packet>, accepts: Accepts) -> Self {
        let cut = match packet.offload() {
            Offload::Segments(segments) => {
                let is_taken = match segments.version {
                    Version::V4 => accepts.tcp4,
                    Version::V6 => accepts.tcp6,
                };
                (!is_taken).then_some(segments)
            }
            Offload::None | Offload::Checksum { .. } => None,
        };
        let done = cut.map_or(0, |segments| usize::from(segments.headers));
        Self { packet, accepts, cut, done, count: 0 }
    }

    /// How long the next piece is. `None` after the last.
    #[must_use]
    pub fn next_len(&self) -> Option<usize> {
        let data = self.next_data()?.len();
        Some(self.cut.map_or(0, |segments| usize::from(segments.headers)) + data)
    }

    /// The next piece.
    #[must_use]
    pub fn piece(&self) -> Option<Piece<'_>> {
        let data = self.next_data()?;
        match self.cut {
            None => Some(self.whole()),
            Some(segments) => self.segment(segments, data),
        }
    }

    /// The next piece was handed over.
    pub fn advance(&mut self) {
        if let Some(data) = self.next_data() {
            self.done = data.end;
            self.count = self.count.wrapping_add(1);
        }
    }

    /// The frame.
    #[must_use]
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// The place of the next piece's data in the frame.
    fn next_data(&self) -> Option<Range<usize>> {
        let len = self.packet.frame().len();
        let size = self.cut.map_or(len, |segments| usize::from(segments.size).max(1));
        (self.done < len).then(|| self.done..self.done.saturating_add(size).min(len))
    }

    fn whole(&self) -> Piece<'_> {
        let body = self.packet.frame();
        let (offload, patch) = match self.packet.offload() {
            Offload::Checksum { start, offset } if !self.accepts.checksum => {
                let start = usize::from(start);
                let checksum = Sum::default().add(body.get(start..).unwrap_or_default()).checksum();
                (Offload::None, Some((start + usize::from(offset), checksum.to_be_bytes())))
            }
            offload @ (Offload::None | Offload::Checksum { .. } | Offload::Segments(_)) => {
                (offload, None)
            }
        };
        Piece { head: [0; HEAD_BYTES], head_len: 0, body, patch, offload }
    }

    /// A segment of TCP: its headers are those of the whole, but for lengths, the number of the first byte, flags and sums.
    fn segment(&self, segments: Segments, data: Range<usize>) -> Option<Piece<'_>> {
        const CHECKSUM: u16 = 16;
        let Segments { version, tcp, headers, .. } = segments;
        let (tcp, headers) = (usize::from(tcp), usize::from(headers));
        let frame = self.packet.frame();
        let mut bytes = [0; HEAD_BYTES];
        let head = bytes.get_mut(..headers)?;
        head.copy_from_slice(frame.get(..headers)?);
        let is_last = data.end == frame.len();
        let body = frame.get(data.clone())?;
        let pseudo = match version {
            Version::V4 => complete_ipv4(head, body.len(), self.count)?,
            Version::V6 => complete_ipv6(head, body.len())?,
        };
        let first = be32(head, tcp + 4)?.wrapping_add((data.start - headers) as u32);
        head.get_mut(tcp + 4..tcp + 8)?.copy_from_slice(&first.to_be_bytes());
        let flags = head.get_mut(tcp + 13)?;
        *flags &= self.kept_flags(is_last);
        let of_tcp = u16::try_from(headers - tcp + body.len()).ok()?;
        let pseudo = pseudo.add_u16(6).add_u16(of_tcp);
        let place = tcp + usize::from(CHECKSUM);
        put_be16(head, place, pseudo.folded());
        let offload = if self.accepts.checksum {
            Offload::Checksum { start: segments.tcp, offset: CHECKSUM }
        } else {
            // The header of TCP consists of words, so that what follows it begins at an even place.
            let sum = Sum::default().add(head.get(tcp..)?).add(body).checksum();
            put_be16(head, place, sum);
            Offload::None
        };
        Some(Piece { head: bytes, head_len: headers, body, patch: None, offload })
    }

    /// The flags of TCP that a segment keeps (RFC 9293, 3.1; RFC 3168, 6.1.2).
    fn kept_flags(&self, is_last: bool) -> u8 {
        const FIN_AND_PUSH: u8 = 1 << 0 | 1 << 3;
        const WINDOW_REDUCED: u8 = 1 << 7;
        let of_last = if is_last { u8::MAX } else { !FIN_AND_PUSH };
        let of_first = if self.count == 0 { u8::MAX } else { !WINDOW_REDUCED };
        of_last & of_first
    }
}

/// Writes length, number and checksum of a packet with `data` bytes behind `head`; the sum of its addresses.
fn complete_ipv4(head: &mut [u8], data: usize, count: u16) -> Option<Sum> {
    let words = usize::from(*head.get(ETHERNET)? & 0xf);
    let total = u16::try_from(head.len() - ETHERNET + data).ok()?;
    put_be16(head, ETHERNET + 2, total);
    let number = be16(head, ETHERNET + 4)?.wrapping_add(count);
    put_be16(head, ETHERNET + 4, number);
    put_be16(head, ETHERNET + 10, 0);
    let header = head.get(ETHERNET..ETHERNET + 4 * words)?;
    let checksum = !Sum::default().add(header).folded();
    put_be16(head, ETHERNET + 10, checksum);
    Some(Sum::default().add(head.get(ETHERNET + 12..ETHERNET + 20)?))
}

/// The same with IPv6, which has the length only.
fn complete_ipv6(head: &mut [u8], data: usize) -> Option<Sum> {
    const FIXED: usize = 40;
    let payload = u16::try_from(head.len() - ETHERNET - FIXED + data).ok()?;
    put_be16(head, ETHERNET + 4, payload);
    Some(Sum::default().add(head.get(ETHERNET + 8..ETHERNET + FIXED)?))
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests;
