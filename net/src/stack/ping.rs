//! Echo requests (RFC 792, 4443) and their answers.

use crate::time::Instant;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, Icmpv6Packet, Icmpv6Repr, IpAddress};

/// What requests of ours bear: this and the number of their socket.
const IDENT: u16 = 0x526f;
/// Requests at once.
const SOCKETS: u16 = 8;
/// A request that has not left after this time, since nobody knows the way, never does.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same, if others wait as well.
const PATIENCE_OF_MANY: Duration = Duration::from_secs(1);
/// Contents of a request.
const CONTENTS: &[u8] = b"Roost: are you there? 0123456789";
/// Answers that wait for their reader, of each socket.
const WAITING: usize = 4;
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

/// The sockets for it. Each has one request: one that cannot leave holds up no other.
pub(super) struct Ping(Vec<Slot>);

struct Slot {
    handle: SocketHandle,
    ident: u16,
    /// When its request was made, if that may not have left yet.
    since: Option<Instant>,
}

impl Ping {
    pub(super) fn new(sockets: &mut SocketSet<'static>) -> Self {
        let idents = (0..SOCKETS).map(|index| IDENT.wrapping_add(index));
        let slot = |ident| Slot { handle: sockets.add(socket(ident)), ident, since: None };
        Self(idents.map(slot).collect())
    }

    /// Gives up requests that cannot leave, the oldest first: smoltcp would ask for their way for ever, once a second, and
    /// for nobody else's meanwhile.
    pub(super) fn tend(&mut self, sockets: &mut SocketSet<'static>, now: Instant) {
        for slot in &mut self.0 {
            if sockets.get::<Socket<'_>>(slot.handle).send_queue() == 0 {
                slot.since = None;
            }
        }
        for _ in 0..self.0.len() {
            let patience = self.patience();
            let oldest = self.0.iter_mut().filter(|slot| slot.since.is_some());
            match oldest.min_by_key(|slot| slot.since) {
                Some(slot) if slot.since.is_some_and(|since| now.since(since) >= patience) => {
                    slot.renew(sockets);
                }
                Some(_) | None => return,
            }
        }
    }

    /// When a request may have to be given up.
    pub(super) fn wake(&self) -> Option<Instant> {
        let patience = self.patience();
        self.0.iter().filter_map(|slot| Some(slot.since? + patience)).min()
    }

    fn patience(&self) -> Duration {
        let waiting = self.0.iter().filter(|slot| slot.since.is_some()).count();
        if waiting > 1 { PATIENCE_OF_MANY } else { PATIENCE }
    }

    /// Asks; `None` if that cannot be sent.
    pub(super) fn send(
        &mut self,
        interface: &Interface,
        sockets: &mut SocketSet<'static>,
        (to, sequence): (IpAddr, u16),
        now: Instant,
    ) -> Option<()> {
        let source = interface.get_source_address(&to.into())?;
        let count = self.0.len().max(1);
        let slot = self.0.get_mut(usize::from(sequence) % count)?;
        if sockets.get::<Socket<'_>>(slot.handle).send_queue() != 0 {
            slot.renew(sockets);
        }
        slot.since = Some(now);
        let ident = slot.ident;
        let socket = sockets.get_mut::<Socket<'_>>(slot.handle);
        let checksum = ChecksumCapabilities::default();
        match (source, to) {
            (_, IpAddr::V4(_)) => {
                let request = Icmpv4Repr::EchoRequest { ident, seq_no: sequence, data: CONTENTS };
                let bytes = socket.send(request.buffer_len(), to.into()).ok()?;
                request.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksum);
            }
            (IpAddress::Ipv6(source), IpAddr::V6(to)) => {
                let request = Icmpv6Repr::EchoRequest { ident, seq_no: sequence, data: CONTENTS };
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
        self.0.iter().find_map(|slot| answer(sockets.get_mut::<Socket<'_>>(slot.handle)))
    }
}

impl Slot {
    fn renew(&mut self, sockets: &mut SocketSet<'static>) {
        sockets.remove(self.handle);
        self.handle = sockets.add(socket(self.ident));
        self.since = None;
    }
}

fn socket(ident: u16) -> Socket<'static> {
    let buffer = |count: usize| {
        PacketBuffer::new(vec![PacketMetadata::EMPTY; count], vec![0; count * PACKET_BYTES])
    };
    let mut socket = Socket::new(buffer(WAITING), buffer(1));
    // It is new, and the identifier is not zero: there is nothing else that could be wrong.
    let _ = socket.bind(Endpoint::Ident(ident));
    socket
}

fn answer(socket: &mut Socket<'static>) -> Option<Pong> {
    const KIND_4: u8 = 0;
    const KIND_6: u8 = 129;
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
