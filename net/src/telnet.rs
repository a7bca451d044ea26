//! The server's side of telnet (RFC 854, 855).
//!
//! ```text
//!    received bytes ─▶ Parser ─▶ Token ─▶ Telnet ─▶ Event ─▶ the session
//!                                            │ ▲
//!                                 Negotiation (RFC 1143): replies
//!    the session's output ─▶ Encoder ─▶ bytes to send
//! ```
//!
//! What is agreed on: the server echoes (857), nobody sends "go ahead" (858), the client reports its window (1073), and
//! either direction is binary if the client wants so (856). All else is refused. A client that agrees gives a terminal in
//! character mode; one that does not, or does not speak telnet at all (`nc`, a script's socket), gives lines.
//!
//! The parser is strict: a subnegotiation that does not end is a [`Violation`] after which nothing is read any more.
//! Replies are limited by a bucket, so that a storm of options is answered a bounded number of times, and dropped
//! requests change nothing.

mod code;
mod encoder;
mod negotiation;
mod parser;
mod q;
mod server;

pub use server::{Counts, Event, Mode, Telnet, Violation, WindowSize};
