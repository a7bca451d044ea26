//! The host's own TCP/IP: one address on one card, or on a port of a switch.
//!
//! [`Stack::poll`] is called by the CPU loop, when the card has something or the time has come that it said; it moves a bounded
//! number of frames, so that neither traffic starves guests nor guests the network. All buffers are made when a port
//! is listened on; nothing that comes makes anything grow.
//!
//! smoltcp has no backlog: a listener is a number of sockets, each of which serves one connection at a time and then listens
//! again. When none is left that listens, those that wait for nothing but the end of `TIME-WAIT` and those that are half
//! open are taken back, the oldest first, so that neither a row of connections nor a flood of SYNs shuts others out for long.

mod card;
mod config;
mod host;
mod listener;
mod ping;

pub use card::{Card, Link, Sent};
pub use config::{Ipv4Config, Ipv6Config, ListenConfig, StackConfig};
pub use host::{Addresses, Counters, Error, Polled, Stack};
pub use listener::{Connection, Gone, ListenerId, PortActivity};
pub use ping::Pong;
