//! Who may come in, and what they may do.
//!
//! ```text
//!    connection ─▶ Gate: allow-list, limits ─▶ Dialog: name, password ─▶ Gate: delay ─▶ Hasher, in slices ─▶ User
//!                   │                                                            │
//!                 Audit ◀────────────── what happened ────────────────── Throttle: failures
//! ```
//!
//! Passwords are kept as Argon2id (RFC 9106) in the string form that other tools make. A hash takes long by design,
//! so it is made in slices, one at a time: guests do not stall, and however many knock, memory for one is enough. A
//! name that nobody has costs the same time and gets the same answer.
//!
//! Failures are remembered by address and by name, in bounded tables: the next attempt waits, longer each time, and after
//! too many there is none for a while.

mod argon2;
mod audit;
mod block;
mod dialog;
mod gate;
mod network;
mod phc;
mod text;
mod throttle;
mod user;

pub use argon2::{HashError, Hasher, Progress};
pub use audit::{Act, Audit, Entry, Origin};
pub use dialog::{Answer, Dialog, Echo};
pub use gate::{Closed, Gate, Limits, Rejected, Status, Ticket, Working};
pub use network::{Network, Networks, NotNetwork};
pub use phc::{BadHash, Cost, PasswordHash, SALT_BYTES};
pub use text::printable;
pub use throttle::ThrottleConfig;
pub use user::{BadUser, Directory, Role, Scope, User};
