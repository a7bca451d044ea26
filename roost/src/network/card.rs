//! The driver below as the stack above wants it.

use core::cell::RefCell;
use hv_core::device::Notice;
use hv_core::network::{CardCounters, CardDriver, CardInfo, Hearing, Link as DriverLink, Taken};
use net::stack::{Card, Link, Sent};
use net::switch::MacAddr;

/// The host's card.
pub(crate) struct HostCard {
    /// Room for a frame can only be told by taking back what was sent.
    driver: RefCell<CardDriver>,
    mac: MacAddr,
    /// As of the last look: to ask the card takes long.
    link: Link,
}

impl HostCard {
    /// A card that has no address of its own gets one of these bits, of those that anybody may use (IEEE 802, 8.4).
    pub(crate) fn new(driver: CardDriver, bits: u64) -> Self {
        let [first, a, b, c, d, e, ..] = bits.to_le_bytes();
        let made_up = [first & !1 | 2, a, b, c, d, e];
        let mac = MacAddr(driver.info().mac.unwrap_or(made_up));
        let link = link(driver.link());
        Self { driver: RefCell::new(driver), mac, link }
    }

    /// What it is.
    pub(crate) fn info(&self) -> CardInfo {
        self.driver.borrow().info().clone()
    }

    /// What it has counted.
    pub(crate) fn counters(&self) -> CardCounters {
        self.driver.borrow().counters()
    }

    /// Whether it interrupts.
    pub(crate) fn notice(&self) -> Notice {
        self.driver.borrow().info().notice
    }

    /// Begins a poll: looks whether the cable is in, and listens to no interrupts. Returns whether that has changed.
    pub(crate) fn begin(&mut self) -> Option<Link> {
        let driver = self.driver.get_mut();
        driver.hear(Hearing::Off);
        let link = link(driver.link());
        let before = core::mem::replace(&mut self.link, link);
        (before != link).then_some(link)
    }

    /// Has the card send what it was given.
    pub(crate) fn start(&mut self) {
        self.driver.get_mut().start();
    }

    /// Listens to interrupts again. `false` if something has come already.
    pub(crate) fn rest(&mut self) -> bool {
        let driver = self.driver.get_mut();
        driver.hear(Hearing::On);
        let is_idle = !driver.has_received();
        if !is_idle {
            driver.hear(Hearing::Off);
        }
        is_idle
    }
}

fn link(link: DriverLink) -> Link {
    match link {
        DriverLink::Up => Link::Up,
        DriverLink::Down => Link::Down,
    }
}

impl Card for HostCard {
    fn mac(&self) -> MacAddr {
        self.mac
    }

    fn link(&self) -> Link {
        self.link
    }

    fn can_send(&self) -> bool {
        self.driver.borrow_mut().can_send()
    }

    fn send(&mut self, frame: &[u8]) -> Sent {
        match self.driver.get_mut().send(frame) {
            Taken::Yes => Sent::Yes,
            Taken::Full | Taken::Unfit => Sent::Full,
        }
    }

    fn receive(&mut self, frame: &mut [u8]) -> Option<usize> {
        self.driver.get_mut().receive(frame)
    }
}
