//! The network device (5.1): a card with one pair of queues, and a control queue.
//!
//! ```text
//!    queue 0   receive:  Port::receive ─▶ Pieces ─▶ the driver's buffers, merged if a frame is larger than one
//!    queue 1   transmit: the driver's frame ─▶ Offload::read: is it possible? ─▶ Port::send ─▶ a switch, another port
//!    queue 2   control:  what the driver wants to receive
//! ```
//!
//! Offloads (checksums, segments of TCP) cost nothing between two guests that agreed on them: a frame of up to 64 KiB passes
//! as it is. For a receiver that did not, the frame is completed or cut on the way into its buffers, in its own time.
//!
//! The device keeps nothing that grows: a frame is copied once for all who get it, and waits at their ports, which are bounded;
//! see [`Port`].

mod checksum;
mod control;
mod feature;
mod filter;
mod header;
mod layers;
pub mod packet;
pub mod pieces;
mod port;
mod receive;
mod statistics;

pub use filter::Mac;
pub use header::{Offload, Refused, Segments};
pub use layers::Version;
pub use port::{Outgoing, Port};
pub use statistics::Statistics;

use crate::config_space;
use crate::device::{Context, DeviceId, More, VirtioDevice};
use crate::fault::Fault;
use crate::queue::Chain;
use alloc::sync::Arc;
use filter::Filter;
use header::Frame;
use hv_core::guest::{GuestMemory, Width};
use layers::ETHERNET;
use packet::LONGEST_FRAME;
use pieces::{Accepts, HEAD_BYTES};
use port::Memory;
use receive::Delivery;

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const CONTROL: usize = 2;
/// Entries of the queues. A frame of 64 KiB takes up some 40 buffers of a driver that merges them.
const QUEUE_SIZES: [u16; 3] = [1024, 256, 64];

/// Bytes that one call sends before others have their turn.
const BUDGET_BYTES: usize = 512 << 10;
/// Frames, likewise.
const BUDGET_FRAMES: usize = 128;
/// Commands, likewise.
const BUDGET_COMMANDS: usize = 16;

/// Whether the cable is plugged in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// It is.
    Up,
    /// It is not: no frame passes.
    Down,
}

/// What a card is.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Its address.
    pub mac: Mac,
    /// The largest packet of its network, headers of Ethernet not counted.
    pub mtu: u16,
}

/// A network card.
pub struct Net<P> {
    mac: Mac,
    mtu: u16,
    port: P,
    link: Link,
    features: u64,
    /// What the driver does itself.
    accepts: Accepts,
    filter: Filter,
    delivery: Delivery,
    statistics: Arc<Statistics>,
}

impl<P: Port> Net<P> {
    /// A card that is plugged into `port`.
    pub fn new(setup: Setup, port: P) -> Self {
        Self {
            mac: setup.mac,
            mtu: setup.mtu,
            port,
            link: Link::Up,
            features: 0,
            accepts: Accepts::NOTHING,
            filter: Filter::new(),
            delivery: Delivery::default(),
            statistics: Arc::default(),
        }
    }

    /// What it has done, which can be read without its lock.
    #[must_use]
    pub fn statistics(&self) -> Arc<Statistics> {
        Arc::clone(&self.statistics)
    }

    /// What it is plugged into.
    #[must_use]
    pub fn port(&self) -> &P {
        &self.port
    }

    /// Whether the cable is plugged in.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link
    }

    /// Pulls the cable, or plugs it in. The driver is told.
    pub fn set_link(&mut self, link: Link, context: &mut Context<'_>) {
        if self.link == link {
            return;
        }
        self.link = link;
        match link {
            Link::Down => {
                self.port.close();
                self.delivery.pieces_lost();
            }
            Link::Up if context.is_running() => self.port.open(),
            Link::Up => {}
        }
        if self.features & feature::STATUS != 0 {
            context.config_changed();
        }
    }

    /// The driver does these of its features.
    fn set_accepts(&mut self, features: u64) {
        let has = |feature| features & feature != 0;
        // A segment without its checksum is what these are (5.1.3.1).
        let checksum = has(feature::GUEST_CSUM);
        self.accepts = Accepts {
            checksum,
            tcp4: checksum && has(feature::GUEST_TSO4),
            tcp6: checksum && has(feature::GUEST_TSO6),
        };
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> More {
        let mut budget = BUDGET_BYTES;
        for _ in 0..BUDGET_FRAMES {
            let Some(chain) = context.pop(TRANSMIT) else { return More::No };
            let Some(len) = chain.readable_len().checked_sub(header::BYTES as u64) else {
                context.fail(Fault::Request);
                return More::No;
            };
            let sent = match self.send(&chain, len, context.memory()) {
                Ok(sent) => sent,
                Err(why) => {
                    self.statistics.refuse(why);
                    0
                }
            };
            context.push(TRANSMIT, chain, 0);
            budget = budget.saturating_sub(sent);
            if budget == 0 {
                break;
            }
        }
        More::Yes
    }

    /// Sends the frame of `len` bytes in `chain`; how many bytes that were.
    fn send(
        &mut self,
        chain: &Chain,
        len: u64,
        memory: &dyn GuestMemory,
    ) -> Result<usize, Refused> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if !(ETHERNET..=LONGEST_FRAME).contains(&len) {
            return Err(Refused::Length);
        }
        let mut rest = chain.readable_from(0);
        let mut of_driver = [0; header::BYTES];
        let mut head = [0; HEAD_BYTES];
        let head_len = len.min(HEAD_BYTES);
        let start = head.get_mut(..head_len).ok_or(Refused::Length)?;
        let copied = rest.read(memory, &mut of_driver).and_then(|()| rest.read(memory, start));
        copied.map_err(|_| Refused::Length)?;
        let frame = Frame { head: start, len, features: self.features, mtu: self.mtu };
        let offload = Offload::read(of_driver, &frame)?;
        if self.link == Link::Down {
            return Err(Refused::NoLink);
        }
        self.port.send(Outgoing { head, head_len, rest, memory: Memory(memory), len, offload });
        Ok(len)
    }

    fn control(&mut self, context: &mut Context<'_>) -> More {
        for _ in 0..BUDGET_COMMANDS {
            let Some(chain) = context.pop(CONTROL) else { return More::No };
            self.command(CONTROL, chain, context);
        }
        More::Yes
    }
}

impl<P: Port> VirtioDevice for Net<P> {
    fn device_id(&self) -> DeviceId {
        DeviceId::Net
    }

    fn features(&self) -> u64 {
        feature::OFFERED
    }

    fn queue_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    /// `struct virtio_net_config` (5.1.4).
    fn read_config(&self, offset: u64, width: Width) -> u64 {
        /// `VIRTIO_NET_S_LINK_UP`.
        const LINK_UP: u16 = 1;
        const PAIRS: u16 = 1;
        let status = if self.link == Link::Up { LINK_UP } else { 0 };
        let mut space = [0; 12];
        let (mac, rest) = space.split_at_mut(6);
        mac.copy_from_slice(&self.mac);
        let places = rest.as_chunks_mut::<2>().0.iter_mut();
        let words = [status, PAIRS, self.mtu];
        places.zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        config_space::read(&space, offset, width)
    }

    fn write_config(&mut self, _: u64, _: Width, _: u64) {}

    fn activate(&mut self, features: u64, _: &mut Context<'_>) {
        self.features = features;
        self.set_accepts(features);
        if self.link == Link::Up {
            self.port.open();
        }
    }

    fn notify(&mut self, queue: usize, context: &mut Context<'_>) -> More {
        match queue {
            RECEIVE => self.receive(context),
            TRANSMIT => self.transmit(context),
            // The driver shall not use it without the feature.
            CONTROL if self.features & feature::CTRL_VQ != 0 => self.control(context),
            _ => More::No,
        }
    }

    fn reset(&mut self) {
        self.port.close();
        self.features = 0;
        self.accepts = Accepts::NOTHING;
        self.filter = Filter::new();
        self.delivery.clear();
    }
}

#[cfg(test)]
mod tests;
