//! The session's output, as the client shall receive it.

use super::code::IAC;

const CR: u8 = b'\r';
const LF: u8 = b'\n';
const NUL: u8 = 0;

/// What the client makes of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// It speaks no telnet: bytes go out as they are.
    Plain,
    /// 255 is sent twice, and after a carriage return without a line feed there is a NUL (RFC 854).
    Network,
    /// 255 is sent twice (RFC 856).
    Binary,
}

/// Escapes output. It remembers the last byte, for a line end may come in two pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Encoder {
    follows_cr: bool,
}

impl Encoder {
    /// Encodes as much of `output` into `room` as fits wholly; how many bytes are taken, and how many written.
    pub(super) fn encode(
        &mut self,
        dialect: Dialect,
        output: &[u8],
        room: &mut [u8],
    ) -> (usize, usize) {
        let (mut taken, mut written) = (0, 0);
        for byte in output {
            let needs_nul = self.follows_cr && *byte != LF && dialect == Dialect::Network;
            let is_doubled = *byte == IAC && dialect != Dialect::Plain;
            let parts = [(needs_nul, NUL), (is_doubled, IAC), (true, *byte)];
            let bytes = parts.into_iter().filter(|(is_there, _)| *is_there).map(|(_, byte)| byte);
            let end = written + bytes.clone().count();
            let Some(place) = room.get_mut(written..end) else { break };
            for (place, byte) in place.iter_mut().zip(bytes) {
                *place = byte;
            }
            self.follows_cr = *byte == CR;
            written = end;
            taken += 1;
        }
        (taken, written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(dialect: Dialect, output: &[u8]) -> Vec<u8> {
        let mut room = vec![0; 3 * output.len()];
        let (taken, written) = Encoder::default().encode(dialect, output, &mut room);
        assert_eq!(taken, output.len());
        room.truncate(written);
        room
    }

    #[test]
    fn line_ends_and_255_are_escaped_for_telnet_only() {
        let output = b"a\r\nb\rc\xff\n\r\r\n";
        assert_eq!(encode(Dialect::Plain, output), output);
        assert_eq!(encode(Dialect::Network, output), b"a\r\nb\r\0c\xff\xff\n\r\0\r\n");
        assert_eq!(encode(Dialect::Binary, output), b"a\r\nb\rc\xff\xff\n\r\r\n");
    }

    proptest! {
        #[test]
        fn pieces_encode_as_the_whole_does(
            output in prop::collection::vec(prop_oneof![Just(CR), Just(LF), Just(IAC), any::<u8>()], 0..200),
            rooms in prop::collection::vec(0..7usize, 1..50),
        ) {
            let mut encoder = Encoder::default();
            let (mut rest, mut pieces) = (&output[..], Vec::<u8>::new());
            for room in rooms.into_iter().cycle().take(10_000).chain([600]) {
                let mut room = vec![0; room];
                let (taken, written) = encoder.encode(Dialect::Network, rest, &mut room);
                rest = &rest[taken..];
                pieces.extend(&room[..written]);
            }
            prop_assert!(rest.is_empty());
            prop_assert_eq!(pieces, encode(Dialect::Network, &output));
        }
    }
}
