//! Where the headers of a frame are, as far as offloads need to know.

/// The first byte behind the header of Ethernet.
pub(super) const ETHERNET: usize = 14;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;

/// The version of IP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// What IP carries, as far as a device completes its checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    fn of(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }

    /// Where the checksum is in its header.
    pub(super) fn checksum_offset(self) -> usize {
        match self {
            Self::Tcp => 16,
            Self::Udp => 6,
        }
    }
}

/// Where what is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Layers {
    pub(super) version: Version,
    pub(super) transport: Transport,
    /// Where the header of the transport begins.
    pub(super) at: usize,
}

impl Layers {
    /// Of the frame that begins with `head`. `None` if it is no TCP or UDP, or a fragment.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match be16(head, 12)? {
            IPV4 => Self::of_ipv4(head),
            IPV6 => Self::of_ipv6(head),
            _ => None,
        }
    }

    fn of_ipv4(head: &[u8]) -> Option<Self> {
        let first = *head.get(ETHERNET)?;
        let words = usize::from(first & 0xf);
        // Neither a later piece nor one that is followed by more.
        if first >> 4 != 4 || words < 5 || be16(head, ETHERNET + 6)? & 0x3fff != 0 {
            return None;
        }
        let transport = Transport::of(*head.get(ETHERNET + 9)?)?;
        Some(Self { version: Version::V4, transport, at: ETHERNET + 4 * words })
    }

    fn of_ipv6(head: &[u8]) -> Option<Self> {
        /// Options for all on the way, routing, and options for the destination: they have the same form (RFC 8200, 4).
        const EXTENSIONS: [u8; 3] = [0, 43, 60];
        if *head.get(ETHERNET)? >> 4 != 6 {
            return None;
        }
        let mut next = *head.get(ETHERNET + 6)?;
        let mut at = ETHERNET + IPV6_HEADER;
        // Goes on by 8 bytes at least, and ends with the head.
        while EXTENSIONS.contains(&next) {
            let units = usize::from(*head.get(at + 1)?);
            next = *head.get(at)?;
            at += 8 * (units + 1);
        }
        Some(Self { version: Version::V6, transport: Transport::of(next)?, at })
    }

    /// The bytes of all headers up to TCP's. `None` if it is not TCP, or they are not all in `head`.
    pub(super) fn tcp_header_len(&self, head: &[u8]) -> Option<usize> {
        let words = usize::from(*head.get(self.at + 12)? >> 4);
        let len = self.at + 4 * words;
        let is_whole = self.transport == Transport::Tcp && 4 * words >= TCP_HEADER;
        (is_whole && len <= head.len()).then_some(len)
    }
}

pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|pair| u16::from_be_bytes(*pair))
}

pub(super) fn put_be16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value.to_be_bytes();
    }
}
