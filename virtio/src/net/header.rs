//! The header of each frame between driver and device, `struct virtio_net_hdr` (5.1.6), and what it asks for.
//!
//! What a driver writes there is checked against the frame before anybody acts on it: a checksum is only ever completed
//! where TCP or UDP has it. Otherwise a guest could have the device, or another guest, write into a frame what the switch
//! has refused, such as another sender's address.

use super::feature;
use super::layers::{ETHERNET, Layers, Transport, Version};

/// Its bytes. `num_buffers` is there whatever was agreed on, as with every device of version 1 (5.1.6.1).
pub(super) const BYTES: usize = 12;

/// `flags`: a checksum is to be completed.
const NEEDS_CSUM: u8 = 1;
/// `gso_type`.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;

/// The smallest segments that a frame is cut into: it bounds how many there are. Connections have eight times as much.
const SMALLEST_SEGMENT: u16 = 64;

/// What is left to be done to a frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Offload {
    /// Nothing.
    #[default]
    None,
    /// Its checksum is to be completed: that of the bytes from `start` on belongs `offset` bytes further on, where the sum of
    /// what is not among them is.
    Checksum {
        /// Where the header of TCP or UDP begins.
        start: u16,
        /// The place of the checksum in it.
        offset: u16,
    },
    /// It is to be cut into segments of TCP.
    Segments(Segments),
}

/// How a frame is to be cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segments {
    /// The version of IP.
    pub version: Version,
    /// Where the header of TCP begins.
    pub tcp: u16,
    /// Bytes of all headers.
    pub headers: u16,
    /// Bytes of data in each segment but the last.
    pub size: u16,
}

/// Why a frame is not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Refused {
    /// It is shorter than a header of Ethernet, or longer than allowed.
    Length,
    /// Its header asks for what was not agreed on, or for what is not possible.
    Header,
    /// There is no link.
    NoLink,
}

impl Refused {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 3] = [Self::Length, Self::Header, Self::NoLink];

    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Length => "frames of an impossible length",
            Self::Header => "frames whose header asks for the impossible",
            Self::NoLink => "frames without a link",
        }
    }
}

/// What the header of a frame is judged by.
pub(super) struct Frame<'a> {
    /// Its first bytes.
    pub(super) head: &'a [u8],
    /// How long it is.
    pub(super) len: usize,
    /// What was agreed on.
    pub(super) features: u64,
    /// The largest packet.
    pub(super) mtu: u16,
}

impl Offload {
    /// What `header` asks for.
    pub(super) fn read(header: [u8; BYTES], frame: &Frame<'_>) -> Result<Self, Refused> {
        let [
            flags,
            gso_type,
            _,
            _,
            size_low,
            size_high,
            start_low,
            start_high,
            at_low,
            at_high,
            ..,
        ] = header;
        let start = u16::from_le_bytes([start_low, start_high]);
        let offset = u16::from_le_bytes([at_low, at_high]);
        let size = u16::from_le_bytes([size_low, size_high]);
        // Other flags are ignored (5.1.6.2.1).
        if flags & NEEDS_CSUM == 0 {
            let is_plain = gso_type == GSO_NONE;
            return if is_plain {
                frame.check_len().map(|()| Self::None)
            } else {
                Err(Refused::Header)
            };
        }
        let layers = frame.layers(start, offset).ok_or(Refused::Header)?;
        let (feature, version) = match gso_type {
            GSO_NONE => {
                frame.check_len()?;
                return Ok(Self::Checksum { start, offset });
            }
            GSO_TCPV4 => (feature::HOST_TSO4, Version::V4),
            GSO_TCPV6 => (feature::HOST_TSO6, Version::V6),
            _ => return Err(Refused::Header),
        };
        let headers = layers.tcp_header_len(frame.head).ok_or(Refused::Header)?;
        // The driver's `hdr_len` is a hint (5.1.6.2), and not needed.
        let is_fine = frame.features & feature != 0
            && layers.version == version
            && size >= SMALLEST_SEGMENT
            && headers < frame.len
            && headers + usize::from(size) <= frame.longest();
        let headers = u16::try_from(headers).ok().filter(|_| is_fine).ok_or(Refused::Header)?;
        Ok(Self::Segments(Segments { version, tcp: start, headers, size }))
    }

    /// The header that asks a driver for this, of a frame that is spread over so many buffers.
    pub(super) fn write(self, buffers: u16) -> [u8; BYTES] {
        let (flags, gso_type, headers, size, start, offset) = match self {
            Self::None => (0, GSO_NONE, 0, 0, 0, 0),
            Self::Checksum { start, offset } => (NEEDS_CSUM, GSO_NONE, 0, 0, start, offset),
            Self::Segments(Segments { version, tcp, headers, size }) => {
                let gso_type = match version {
                    Version::V4 => GSO_TCPV4,
                    Version::V6 => GSO_TCPV6,
                };
                let offset = Transport::Tcp.checksum_offset() as u16;
                (NEEDS_CSUM, gso_type, headers, size, tcp, offset)
            }
        };
        let mut bytes = [0; BYTES];
        let words = [headers, size, start, offset, buffers];
        let (marks, rest) = bytes.split_at_mut(2);
        marks.copy_from_slice(&[flags, gso_type]);
        let places = rest.as_chunks_mut::<2>().0.iter_mut();
        places.zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        bytes
    }
}

impl Frame<'_> {
    /// The longest frame that is one packet.
    fn longest(&self) -> usize {
        ETHERNET + usize::from(self.mtu)
    }

    fn check_len(&self) -> Result<(), Refused> {
        if self.len <= self.longest() { Ok(()) } else { Err(Refused::Length) }
    }

    /// Where the headers are, if a checksum may be completed there.
    fn layers(&self, start: u16, offset: u16) -> Option<Layers> {
        let layers = Layers::of(self.head)?;
        let place = usize::from(offset);
        let is_there = layers.at == usize::from(start)
            && layers.transport.checksum_offset() == place
            && layers.at + place + 2 <= self.len;
        (self.features & feature::CSUM != 0 && is_there).then_some(layers)
    }
}
