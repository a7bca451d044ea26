//! Network address translation for guests (RFC 3022): they share the host's address of IPv4 towards the outside.
//!
//! Packets are changed in place, their sums are adjusted and not made anew (RFC 1624), and nothing comes in that nobody
//! inside has asked for. Each connection has its own port, which is drawn by chance (RFC 6056). Tables are bounded, as a
//! whole and for each guest.
//!
//! Guests' name queries go to the gateway and are redirected to a name server outside. What must not be reached from
//! a guest's network (the host itself, the management network) is refused before anything else.

mod packet;
mod table;
mod translate;

pub use translate::{Counters, Nat, NatConfig, Redirect, Refusal, Verdict};
