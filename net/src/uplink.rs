//! How networks of guests reach more than each other: Roost's port on a network, and the way from there to the outside.
//!
//! ```text
//!    guests ── switch ── Gate ──▶ DHCP server
//!                         │ ▲
//!                         ▼ │                 the rest: the host's own stack
//!                        Router: NAT, ARP ────────┴── the host's card
//! ```
//!
//! Both look at frames before the host's stack does, which gets what is not theirs. A guest's packet is translated and sent to
//! the next hop outside, whose station is asked for by ARP (RFC 826) as the stack does it for its own packets; answers that
//! belong to a guest's connection come back the same way. A [`Gate`] without a router is that of a host-only network.

mod frame;
mod gate;
mod neighbours;
mod router;

pub use gate::{Dhcp, Gate, GateConfig, Outward, Way};
pub use router::{Came, Outside, Router};
