//! The protocol for programs: a line of command in, a line of JSON out. `docs/remote.md` has it for its users.
//!
//! ```text
//!    server: {"hello":"roost","protocol":1,"version":"0.1.0"}
//!    client: login anna 'my password'
//!    server: {"ok":true,"result":{"user":"anna","role":"operator"}}
//!    client: vm list
//!    server: {"ok":true,"result":[{"id":1, ...}]}
//!    client: vm start nobody
//!    server: {"ok":false,"error":{"kind":"command","message":"no VM 'nobody': 'vm list' shows linux"}}
//! ```
//!
//! Every line is answered by one line, in order.

mod lines;
mod reply;
mod request;

pub use lines::{LONGEST_LINE, Line, Lines};
pub use reply::{FailureKind, PROTOCOL, Reply};
pub use request::{Listings, Request, parse};
