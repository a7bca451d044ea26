//! Echo requests (RFC 792, 4443) and their answers.

use alloc::vec;
use core::net::IpAddr;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress};

/// What requests of ours bear.
const IDENT: u16 = 0x526f;
/// Contents of a request.
const CONTENTS: &[u8] = b"Roost: are you there? 0123456789";
/// Requests, and answers, that wait.
const WAITING: usize = 8;
const PACKET_BYTES: usize = 128;

/// An answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pong {
    /// Who answered.
    pub from: IpAddr,
    /// The number of the request.
    pub sequence: u16,
    /// Bytes that came back.
    pub bytes: usize,
}

/// The socket for it.
pub(super) struct Ping(SocketHandle);

impl Ping {
    pub(super) fn new(sockets: &mut SocketSet<'static>) -> Self {
        let buffer = || {
            PacketBuffer::new(vec![PacketMetadata::EMPTY; WAITING], vec![0; WAITING * PACKET_BYTES])
        };
        let mut socket = Socket::new(buffer(), buffer());
        // It is new, and the identifier is not zero: there is nothing else that could be wrong.
        let _ = socket.bind(Endpoint::Ident(IDENT));
        Self(sockets.add(socket))
    }

    /// Asks; `None` if that cannot be sent.
    pub(super) fn send(
        &self,
        interface: &Interface,
        sockets: &mut SocketSet<'static>,
        to: IpAddr,
        sequence: u16,
    ) -> Option<()> {
        let source = interface.get_source_address(&to.into())?;
        let socket = sockets.get_mut::<Socket<'_>>(self.0);
        let checksum = ChecksumCapabilities::default();
        match (source, to) {
            (_, IpAddr::V4(_)) => {
                let request =
                    Icmpv4Repr::EchoRequest { ident: IDENT, seq_no: sequence, data: CONTENTS };
                let bytes = socket.send(request.buffer_len(), to.into()).ok()?;
                request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksum);
            }
            (IpAddress::Ipv6(source), IpAddr::V6(to)) => {
                let request =
                    Icmpv6Repr::EchoRequest { ident: IDENT, seq_no: sequence, data: CONTENTS };
                let bytes = socket.send(request.buffer_len(), to.into()).ok()?;
                let mut packet = Icmpv6Packet::new_unchecked(bytes);
                request.emit(&source, &to, &mut packet, &checksum);
            }
            (IpAddress::Ipv4(_), IpAddr::V6(_)) => return None,
        }
        Some(())
    }

    /// The next answer.
    pub(super) fn receive(&self, sockets: &mut SocketSet<'static>) -> Option<Pong> {
        const KIND_4: u8 = 0;
        const KIND_6: u8 = 129;
        let socket = sockets.get_mut::<Socket<'_>>(self.0);
        // No more than wait: the others are of no interest.
        for _ in 0..WAITING {
            let (bytes, from) = socket.recv().ok()?;
            let kind = if matches!(from, IpAddress::Ipv4(_)) { KIND_4 } else { KIND_6 };
            // The stack has checked the sum, and that the identifier is ours.
            let sequence = crate::bytes::be16(bytes, 6).filter(|_| bytes.first() == Some(&kind));
            if let Some(sequence) = sequence {
                return Some(Pong { from: from.into(), sequence, bytes: bytes.len() });
            }
        }
        None
    }
}
