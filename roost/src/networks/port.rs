//! Ports: what is at the ends of a network.

use super::inbox::Inbox;
use super::network::Network;
use alloc::string::String;
use alloc::sync::Arc;
use net::bucket::Rate;
use net::switch::{
    Addresses, Attachment, Guard, HEAD_BYTES, Isolation, MacAddr, PortConfig, PortId, Rates,
};
use virtio::net::packet::{LONGEST_FRAME, Packet};
use virtio::net::pieces::{Accepts, Pieces};
use virtio::net::{Offload, Outgoing, Port};

/// The largest packet of a network (RFC 894).
pub(crate) const MTU: u16 = 1500;
/// The longest frame on a wire.
const FRAME: usize = 14 + MTU as usize;

/// Frames for many that a guest may send in a second: more than any that is well needs.
const FLOODS: Rate = Rate { per_second: 4000, burst: 4000 };

/// What a port shall be.
pub(crate) struct Request {
    /// What listings call it.
    pub(crate) label: String,
    pub(crate) config: PortConfig,
}

impl Request {
    /// A port for the host, a card or a service: whoever is behind it is trusted.
    pub(crate) fn open(label: &str) -> Self {
        let config = PortConfig {
            attachment: Attachment::Open,
            isolation: Isolation::None,
            longest_frame: FRAME,
            rates: Rates::default(),
        };
        Self { label: label.into(), config }
    }

    /// A port for a guest's card that may send `rate` bytes in a second.
    pub(crate) fn guest(
        label: String,
        mac: MacAddr,
        rate: Option<u64>,
        isolation: Isolation,
    ) -> Self {
        // At once a tenth of a second's worth, but a few of the longest frames, or none would ever pass.
        let burst = |rate: u64| (rate / 10).max(4 * LONGEST_FRAME as u64);
        let bytes = rate.map(|rate| Rate { per_second: rate, burst: burst(rate) });
        let config = PortConfig {
            attachment: Attachment::Guest(Guard { mac, addresses: Addresses::FirstCome }),
            isolation,
            longest_frame: LONGEST_FRAME,
            rates: Rates { bytes, frames: None, floods: Some(FLOODS) },
        };
        Self { label, config }
    }
}

/// A port. It is detached when it is dropped.
pub(crate) struct PortHandle {
    network: Arc<Network>,
    id: PortId,
    inbox: Arc<Inbox>,
}

impl PortHandle {
    pub(super) fn new(network: Arc<Network>, id: PortId, inbox: Arc<Inbox>) -> Self {
        Self { network, id, inbox }
    }
}

impl Drop for PortHandle {
    fn drop(&mut self) {
        // From now on nothing is kept there, not even what is on its way.
        self.inbox.close();
        self.network.detach(self.id);
    }
}

/// The port of a guest's card.
pub(crate) struct GuestPort(pub(crate) PortHandle);

impl Port for GuestPort {
    fn open(&mut self) {
        self.0.inbox.open();
    }

    fn close(&mut self) {
        self.0.inbox.close();
    }

    fn send(&mut self, frame: Outgoing<'_>) {
        let head = frame.head;
        let start = head.get(..frame.head_len.min(HEAD_BYTES)).unwrap_or_default();
        self.0.network.carry(self.0.id, (start, frame.len), |pool| frame.packet(pool));
    }

    fn receive(&mut self) -> Option<Arc<Packet>> {
        self.0.inbox.take()
    }

    fn lost(&mut self, bytes: usize) {
        self.0.network.lost(self.0.id, bytes);
    }
}

/// A port for whoever takes frames as they are on a wire: of [`MTU`] bytes at most and with all checksums.
pub(crate) struct Plain {
    port: PortHandle,
    /// What was received, and is not all handed over.
    pieces: Option<Pieces>,
}

impl Plain {
    pub(crate) fn new(port: PortHandle) -> Self {
        port.inbox.open();
        Self { port, pieces: None }
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) {
        let head = frame.get(..frame.len().min(HEAD_BYTES)).unwrap_or_default();
        self.port.network.carry(self.port.id, (head, frame.len()), |pool| {
            pool.packet(frame.len(), Offload::None, |buf| {
                buf.copy_from_slice(frame);
                Some(())
            })
        });
    }

    /// The next frame, and how long it is; one for which `buf` has no room is dropped. After `None` the bell rings for the
    /// next.
    pub(crate) fn receive(&mut self, buf: &mut [u8]) -> Option<usize> {
        loop {
            if let Some(pieces) = &mut self.pieces {
                while let Some(piece) = pieces.piece() {
                    let copied = piece.copy_to(buf);
                    let len = piece.len();
                    pieces.advance();
                    match copied {
                        Some(len) => return Some(len),
                        None => self.port.network.lost(self.port.id, len),
                    }
                }
            }
            self.pieces = None;
            let packet = self.port.inbox.take()?;
            self.pieces = Some(Pieces::new(packet, Accepts::NOTHING));
        }
    }
}
