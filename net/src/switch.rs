//! A learning switch: one network of guests, with the host and maybe a card as further ports.
//!
//! It decides and counts, and never touches a frame: the caller shows it a frame's first [`HEAD_BYTES`], gets the set of
//! ports that the frame is for, and copies it there from wherever it is (a guest's buffers, the card's). Networks are
//! kept apart by being different [`Switch`]es.
//!
//! What keeps guests from each other:
//!
//! - a guest's port has one MAC address, and frames from it bear that; so guests' addresses are never learnt, cannot
//!   move, and a unicast frame never reaches a guest that it is not for;
//! - an IP address belongs to the port that it was allowed to or that used it first: others can neither send from it nor
//!   answer ARP (RFC 826) or neighbour solicitations (RFC 4861) for it, and those of the host are nobody else's;
//! - guests are no routers and no DHCP servers (RFC 6105, 7610);
//! - what could hide such a message (VLAN tags, SNAP, fragments, chains of extension headers: RFC 6980, 7113) is refused;
//! - a port may be isolated: it then reaches only ports that are not;
//! - rates are limited for each port, and those of frames that go to many once more.

mod address;
mod claims;
mod forward;
mod inspect;
mod port;
mod table;

pub use address::MacAddr;
pub use forward::{Error, Refusal, Switch, SwitchConfig, Verdict};
pub use inspect::HEAD_BYTES;
pub use port::{
    Addresses, Attachment, Counters, Guard, Isolation, MAX_PORTS, PortConfig, PortId, PortSet,
    Rates, Traffic,
};
pub use table::Learnt;
