//! Pieces against a naive TCP: packets that are made one by one, byte by byte.

use super::*;
use crate::net::header::{BYTES, Frame};
use crate::net::packet::Pool;
use proptest::prelude::*;

/// A connection's packet, written as the RFCs have it and with nothing of the crate's.
#[derive(Clone, Debug)]
struct Sketch {
    version: Version,
    /// Words of options of IPv4, or extension headers of IPv6 of 8 bytes each.
    ip_options: usize,
    tcp_options: usize,
    number: u16,
    sequence: u32,
    flags: u8,
    data: Vec<u8>,
}

fn naive_sum(bytes: &[u8]) -> u32 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn naive_checksum(parts: &[Vec<u8>]) -> u16 {
    let all: Vec<u8> = parts.concat();
    !(naive_sum(&all) as u16)
}

impl Sketch {
    fn tcp_at(&self) -> usize {
        match self.version {
            Version::V4 => 14 + 20 + 4 * self.ip_options,
            Version::V6 => 14 + 40 + 8 * self.ip_options,
        }
    }

    fn headers(&self) -> usize {
        self.tcp_at() + 20 + 4 * self.tcp_options
    }

    fn tcp(&self) -> Vec<u8> {
        let mut tcp = vec![0x12, 0x34, 0x56, 0x78];
        tcp.extend(self.sequence.to_be_bytes());
        tcp.extend([9, 8, 7, 6]);
        tcp.extend([(5 + self.tcp_options as u8) << 4, self.flags, 1, 2, 0, 0, 0, 0]);
        tcp.extend(std::iter::repeat_n(1, 4 * self.tcp_options));
        tcp.extend(&self.data);
        tcp
    }

    fn pseudo(&self, len: usize) -> Vec<u8> {
        match self.version {
            Version::V4 => {
                [&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6][..], &(len as u16).to_be_bytes()].concat()
            }
            Version::V6 => {
                let addresses: Vec<u8> = (0..32).collect();
                [&addresses[..], &(len as u32).to_be_bytes(), &[0, 0, 0, 6]].concat()
            }
        }
    }

    /// The whole frame; `is_complete` says whether its checksum is, or is only begun.
    fn frame(&self, is_complete: bool) -> Vec<u8> {
        let mut tcp = self.tcp();
        let pseudo = self.pseudo(tcp.len());
        let checksum = if is_complete {
            naive_checksum(&[pseudo, tcp.clone()])
        } else {
            naive_sum(&pseudo) as u16
        };
        tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
        let mut frame = vec![0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2];
        match self.version {
            Version::V4 => {
                let total = (20 + 4 * self.ip_options + tcp.len()) as u16;
                let mut ip = vec![0x45 + self.ip_options as u8, 0];
                ip.extend(total.to_be_bytes());
                ip.extend(self.number.to_be_bytes());
                ip.extend([0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
                ip.extend(std::iter::repeat_n(1, 4 * self.ip_options));
                let checksum = naive_checksum(&[ip.clone()]);
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
                frame.extend([8, 0]);
                frame.extend(ip);
            }
            Version::V6 => {
                let payload = (8 * self.ip_options + tcp.len()) as u16;
                let first = if self.ip_options == 0 { 6 } else { 60 };
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(payload.to_be_bytes());
                frame.extend([first, 64]);
                frame.extend(0..32);
                for left in (0..self.ip_options).rev() {
                    frame.extend([if left == 0 { 6 } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
                }
            }
        }
        frame.extend(tcp);
        frame
    }

    /// What it is in packets with at most `size` bytes of data.
    fn segments(&self, size: usize) -> Vec<Vec<u8>> {
        let count = self.data.len().div_ceil(size);
        let segment = |(index, data): (usize, &[u8])| {
            let mut flags = self.flags;
            if index + 1 != count {
                flags &= !0b1001;
            }
            if index != 0 {
                flags &= !0x80;
            }
            let one = Self {
                number: self.number.wrapping_add(index as u16),
                sequence: self.sequence.wrapping_add((index * size) as u32),
                flags,
                data: data.to_vec(),
                ..self.clone()
            };
            one.frame(true)
        };
        self.data.chunks(size).enumerate().map(segment).collect()
    }

    /// The header that Linux puts before it.
    fn header(&self, size: u16) -> [u8; BYTES] {
        let gso_type = match (size, self.version) {
            (0, _) => 0,
            (_, Version::V4) => 1,
            (_, Version::V6) => 4,
        };
        let words = [self.headers() as u16, size, self.tcp_at() as u16, 16, 0];
        let bytes: Vec<u8> = [1, gso_type]
            .into_iter()
            .chain(words.iter().flat_map(|word| word.to_le_bytes()))
            .collect();
        bytes.try_into().unwrap()
    }

    fn offload(&self, size: u16) -> Result<Offload, crate::net::Refused> {
        let bytes = self.frame(false);
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        let frame = Frame { head, len: bytes.len(), features: u64::MAX, mtu: 1500 };
        Offload::read(self.header(size), &frame)
    }
}

prop_compose! {
    fn sketch(most: usize)(
        is_v4: bool,
        ip_options in 0..4usize,
        tcp_options in 0..10usize,
        number: u16,
        sequence: u32,
        flags: u8,
        data in prop::collection::vec(any::<u8>(), 1..most),
    ) -> Sketch {
        let version = if is_v4 { Version::V4 } else { Version::V6 };
        Sketch { version, ip_options, tcp_options, number, sequence, flags, data }
    }
}

fn packet(bytes: &[u8], offload: Offload) -> Arc<Packet> {
    let fill = |buf: &mut [u8]| {
        buf.copy_from_slice(bytes);
        Some(())
    };
    Arc::new(Pool::default().packet(bytes.len(), offload, fill).unwrap())
}

/// All pieces, as they end up with the receiver.
fn all(packet: Arc<Packet>, accepts: Accepts) -> Vec<(Vec<u8>, Offload)> {
    let mut pieces = Pieces::new(packet, accepts);
    let mut found = Vec::new();
    while let Some(len) = pieces.next_len() {
        let piece = pieces.piece().unwrap();
        let mut buf = vec![0; 70_000];
        let copied = piece.copy_to(&mut buf).unwrap();
        assert_eq!((copied, piece.len()), (len, len));
        buf.truncate(len);
        found.push((buf, piece.offload));
        pieces.advance();
    }
    found
}

/// Completes a checksum as a driver does.
fn complete((mut frame, offload): (Vec<u8>, Offload)) -> Vec<u8> {
    if let Offload::Checksum { start, offset } = offload {
        let start = usize::from(start);
        let at = start + usize::from(offset);
        let checksum = !(naive_sum(&frame[start..]) as u16);
        frame[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
    frame
}

/// A checksum of zero may be written as its other form (RFC 768), which is as right.
fn with_one_zero(mut frame: Vec<u8>, at: usize) -> Vec<u8> {
    if frame[at..at + 2] == [0xff, 0xff] {
        frame[at..at + 2].fill(0);
    }
    frame
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn segments_are_those_of_a_naive_tcp(sketch in sketch(20_000), size in 64..1300u16) {
        let offload = sketch.offload(size).unwrap();
        let packet = packet(&sketch.frame(false), offload);
        let at = sketch.tcp_at() + 16;
        let expected: Vec<_> = sketch.segments(size.into());
        let found = all(Arc::clone(&packet), Accepts::NOTHING);
        prop_assert!(found.iter().all(|(_, offload)| *offload == Offload::None));
        let found: Vec<_> = found.into_iter().map(|(frame, _)| with_one_zero(frame, at)).collect();
        let expected: Vec<_> = expected.into_iter().map(|frame| with_one_zero(frame, at)).collect();
        prop_assert_eq!(&found, &expected);
        // And with a receiver that completes their checksums itself.
        let accepts = Accepts { checksum: true, ..Accepts::NOTHING };
        let found: Vec<_> = all(packet, accepts).into_iter().map(complete).collect();
        prop_assert_eq!(found.into_iter().map(|frame| with_one_zero(frame, at)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_receiver_that_does_the_same_gets_the_frame_untouched(sketch in sketch(60_000), size in 64..1300u16) {
        let offload = sketch.offload(size).unwrap();
        let frame = sketch.frame(false);
        let found = all(packet(&frame, offload), Accepts::ALL);
        prop_assert_eq!(found, vec![(frame.clone(), offload)]);
        // Which is what its header says again.
        let head = &frame[..frame.len().min(HEAD_BYTES)];
        let again = Frame { head, len: frame.len(), features: u64::MAX, mtu: 1500 };
        prop_assert_eq!(Offload::read(offload.write(1), &again), Ok(offload));
    }

    #[test]
    fn a_checksum_that_was_begun_is_completed(sketch in sketch(1300)) {
        let offload = sketch.offload(0).unwrap();
        let at = sketch.tcp_at() + 16;
        let found = all(packet(&sketch.frame(false), offload), Accepts::NOTHING);
        let frame = with_one_zero(sketch.frame(true), at);
        prop_assert_eq!(found.len(), 1);
        prop_assert_eq!(with_one_zero(found[0].0.clone(), at), frame);
    }

    #[test]
    fn a_header_that_lies_is_refused_or_harmless(
        sketch in sketch(3000),
        header: [u8; BYTES],
        noise in prop::collection::vec((0..200usize, any::<u8>()), 0..4),
        cut in 14..4000usize,
        features: u64,
    ) {
        let mut bytes = sketch.frame(false);
        for (at, byte) in noise {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        for header in [header, sketch.header(100), sketch.header(0)] {
            let head = &bytes[..bytes.len().min(HEAD_BYTES)];
            let frame = Frame { head, len: bytes.len(), features, mtu: 1500 };
            let Ok(offload) = Offload::read(header, &frame) else { continue };
            let sum: usize = all(packet(&bytes, offload), Accepts::NOTHING)
                .into_iter()
                .map(|(piece, _)| {
                    assert!(piece.len() <= 1514);
                    // Whose it is stays what it was.
                    assert_eq!(piece[..14], bytes[..14]);
                    if piece[12..14] == [8, 0] && piece.len() >= 34 {
                        assert_eq!(piece[26..34], bytes[26..34]);
                    }
                    piece.len()
                })
                .sum();
            prop_assert!(sum >= bytes.len() && sum <= bytes.len() * 4);
        }
    }
}

#[test]
fn nothing_but_a_checksum_of_tcp_or_udp_is_ever_written() {
    let sketch = Sketch {
        version: Version::V4,
        ip_options: 0,
        tcp_options: 0,
        number: 1,
        sequence: 2,
        flags: 0x10,
        data: vec![7; 100],
    };
    assert!(sketch.offload(0).is_ok());
    let bytes = sketch.frame(false);
    let frame = Frame { head: &bytes, len: bytes.len(), features: u64::MAX, mtu: 1500 };
    // The sender's address: where a switch has looked at it before.
    for (start, offset) in [(14, 12), (0, 26), (26, 0), (34, 6), (34, 0xffff), (30, 20)] {
        let mut header = sketch.header(0);
        header[6..8].copy_from_slice(&u16::to_le_bytes(start));
        header[8..10].copy_from_slice(&u16::to_le_bytes(offset));
        assert_eq!(Offload::read(header, &frame), Err(crate::net::Refused::Header));
    }
    // Cutting into nothing, into too little, into too much, as UDP, with a mark that was not offered.
    for (gso_type, size) in
        [(1, 0), (1, 63), (1, 1461), (3, 1000), (5, 1000), (0x81, 1000), (4, 1000)]
    {
        let mut header = sketch.header(1000);
        header[1] = gso_type;
        header[4..6].copy_from_slice(&u16::to_le_bytes(size));
        assert_eq!(
            Offload::read(header, &frame),
            Err(crate::net::Refused::Header),
            "{gso_type} {size}"
        );
    }
}
