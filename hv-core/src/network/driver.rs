//! The driver of a network card: a queue of buffers for what comes, and one for what goes.
//!
//! The crate below has a driver of its own, but that one does not tell of the link, and waits for a device that never ends
//! changing its configuration; so this uses the crate's queue and transports, as the driver of disks does.

// UNSAFETY: the device reads and writes memory that it is given by address.
#![expect(unsafe_code)]

use super::buffers::{BUFFER_BYTES, Buffers, DEPTH};
use super::config::{self, feature};
use super::{CardCounters, CardInfo, FRAME_BYTES, Hearing, Link, Taken};
use crate::arch::current as arch;
use crate::device::{Slot, Vectors};
use crate::dma::Direct;
use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, SomeTransport, Transport};

/// 5.1.2.
const RECEIVE_QUEUE: u16 = 0;
const SEND_QUEUE: u16 = 1;

type Queue = Box<VirtQueue<Direct, DEPTH>>;

/// Whether the device still does what the specification says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Health {
    Sound,
    Broken,
}

/// The driver of one card.
pub struct CardDriver {
    info: CardInfo,
    features: u64,
    header: usize,
    transport: SomeTransport<'static>,
    receiving: Queue,
    sending: Queue,
    received: Buffers,
    sent: Buffers,
    /// Whether there are new buffers that the device wants to be told of.
    wants_receiving: bool,
    /// Whether there are new frames that the device wants to be told of.
    wants_sending: bool,
    counters: CardCounters,
    health: Health,
}

impl fmt::Debug for CardDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardDriver of {:?}", self.info)
    }
}

impl CardDriver {
    /// Takes the device into use.
    pub(crate) fn new(mut slot: Slot) -> Result<Self, &'static str> {
        let features = slot.negotiate(feature::WANTED)?;
        let header = config::header_bytes(features).ok_or("it is too old")?;
        let notice = slot.connect(Vectors::QueueAndConfiguration);
        let Slot { mut transport, place, .. } = slot;
        let mac = config::mac(&transport, features);
        let mut queue = |number| {
            let queue = VirtQueue::new(&mut transport, number, false, false);
            queue.map_err(|_| "its queues are too short, or there is no memory for them")
        };
        let receiving = Box::new(queue(RECEIVE_QUEUE)?);
        let mut sending: Queue = Box::new(queue(SEND_QUEUE)?);
        // What was sent is looked at when more is to be sent.
        sending.set_dev_notify(false);
        let buffers = || Buffers::new().ok_or("there is no memory for its frames");
        let (received, sent) = (buffers()?, buffers()?);
        transport.finish_init();
        let mut card = Self {
            info: CardInfo { place, notice, mac },
            features,
            header,
            transport,
            receiving,
            sending,
            received,
            sent,
            wants_receiving: false,
            wants_sending: false,
            counters: CardCounters::default(),
            health: Health::Sound,
        };
        card.refill();
        card.start();
        Ok(card)
    }

    /// What the card is.
    #[must_use]
    pub fn info(&self) -> &CardInfo {
        &self.info
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> CardCounters {
        self.counters
    }

    /// Whether the cable is in. A card that has broken the rules is as good as none.
    #[must_use]
    pub fn link(&self) -> Link {
        match self.health {
            Health::Sound => config::link(&self.transport, self.features),
            Health::Broken => Link::Down,
        }
    }

    /// Whether something has come that was not taken.
    #[must_use]
    pub fn has_received(&self) -> bool {
        self.health == Health::Sound && self.receiving.can_pop()
    }

    /// Copies the next frame that has come to `frame`; its length. Frames that do not fit are lost.
    pub fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        // No more than there are buffers: the device may fill them again meanwhile.
        for _ in 0..DEPTH {
            if let Some(bytes) = self.take_received(frame)? {
                return Some(bytes);
            }
            self.counters.unfit += 1;
        }
        None
    }

    /// The next frame, if it fits; `None` if nothing has come.
    fn take_received(&mut self, frame: &mut [u8]) -> Option<Option<usize>> {
        let (index, written) = self.pop_received()?;
        // The device says how much it has written; no more than there is room for is believed.
        let bytes = (written as usize).saturating_sub(self.header);
        let is_whole = bytes > 0 && self.header + bytes <= BUFFER_BYTES;
        let target = frame.get_mut(..bytes).filter(|_| is_whole);
        let fitting = target.map(|target| self.received.copy_out(index, self.header, target));
        self.refill();
        if fitting.is_some() {
            self.counters.received += 1;
            self.counters.received_bytes += bytes as u64;
        }
        Some(fitting.map(|()| bytes))
    }

    fn pop_received(&mut self) -> Option<(usize, u32)> {
        if self.health == Health::Broken {
            return None;
        }
        let token = self.receiving.peek_used()?;
        let Some(index) = self.received.lent_as(token) else {
            self.health = Health::Broken;
            return None;
        };
        let buffer = self.received.part(index, BUFFER_BYTES);
        // SAFETY: the queue says that the device has done with it; nobody else has a reference.
        let buffer = unsafe { &mut *buffer };
        // SAFETY: it is the buffer that `refill` has put in under this token.
        let Ok(written) = (unsafe { self.receiving.pop_used(token, &[], &mut [buffer]) }) else {
            self.health = Health::Broken;
            return None;
        };
        self.received.reclaim(token);
        Some((index, written))
    }

    /// Gives the device all buffers of ours to receive in.
    fn refill(&mut self) {
        while let Some(index) = self.received.first_free() {
            let buffer = self.received.part(index, BUFFER_BYTES);
            // SAFETY: it is ours until the next line; nobody else has a reference.
            let buffer = unsafe { &mut *buffer };
            // SAFETY: nobody touches it, and it stays where it is, until the queue gives it back.
            let added = unsafe { self.receiving.add(&[], &mut [buffer]) };
            if !added.is_ok_and(|token| self.received.lend(token)) {
                // There are as many descriptors as buffers: it is the queue that is not as it was.
                self.health = Health::Broken;
                return;
            }
            // 2.7.13.4.1: what was put into the ring is seen before the device's wish to hear of it is read.
            fence(Ordering::SeqCst);
            self.wants_receiving |= self.receiving.should_notify();
        }
    }

    /// Whether there is room for a frame.
    pub fn can_send(&mut self) -> bool {
        self.reclaim_sent();
        self.health == Health::Sound && self.sent.has_free()
    }

    /// Sends a frame; it is copied. The device need not hear of it before [`Self::start`].
    pub fn send(&mut self, frame: &[u8]) -> Taken {
        if frame.is_empty() || frame.len() > FRAME_BYTES {
            return Taken::Unfit;
        }
        let free = if self.can_send() { self.sent.first_free() } else { None };
        let Some(index) = free else {
            self.counters.full += 1;
            return Taken::Full;
        };
        self.sent.fill(index, self.header, frame);
        let buffer = self.sent.part(index, self.header + frame.len());
        // SAFETY: it was filled above; nobody writes to it as long as the reference is used.
        let buffer = unsafe { &*buffer };
        // SAFETY: nobody touches it, and it stays where it is, until the queue gives it back.
        let added = unsafe { self.sending.add(&[buffer], &mut []) };
        if !added.is_ok_and(|token| self.sent.lend(token)) {
            self.health = Health::Broken;
            return Taken::Full;
        }
        fence(Ordering::SeqCst);
        self.wants_sending |= self.sending.should_notify();
        self.counters.sent += 1;
        self.counters.sent_bytes += frame.len() as u64;
        Taken::Yes
    }

    /// Takes back what the device has sent.
    fn reclaim_sent(&mut self) {
        for _ in 0..DEPTH {
            if self.health == Health::Broken {
                return;
            }
            let Some(token) = self.sending.peek_used() else { return };
            let popped = self.sent.lent_as(token).and_then(|index| {
                let buffer = self.sent.part(index, 1);
                // SAFETY: the device only reads it, and so do we.
                let buffer = unsafe { &*buffer };
                // SAFETY: it is the buffer that `send` has put in under this token; of its length, that it is not 0 is
                // what counts.
                unsafe { self.sending.pop_used(token, &[buffer], &mut []) }.ok()
            });
            match popped {
                Some(_) => self.sent.reclaim(token),
                None => self.health = Health::Broken,
            }
        }
    }

    /// Tells the device of frames to send and of buffers to receive in.
    pub fn start(&mut self) {
        let wishes =
            [(&mut self.wants_receiving, RECEIVE_QUEUE), (&mut self.wants_sending, SEND_QUEUE)];
        for (wish, queue) in wishes {
            if core::mem::take(wish) {
                arch::publish_to_devices();
                self.transport.notify(queue);
            }
        }
    }

    /// Says whether the card is to interrupt when a frame has come. One may have come just before: whoever switches it on looks
    /// at [`Self::has_received`] afterwards (2.7.7.1).
    pub fn hear(&mut self, hearing: Hearing) {
        self.receiving.set_dev_notify(hearing == Hearing::On);
        fence(Ordering::SeqCst);
    }
}

impl Drop for CardDriver {
    /// Buffers that the device may still write to are nobody's for ever.
    fn drop(&mut self) {
        self.transport.set_status(DeviceStatus::empty());
        self.received.abandon();
        self.sent.abandon();
    }
}
