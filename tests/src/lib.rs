//! What whole-machine tests stand on: Roost booted in QEMU with its serial port on a pipe.
//!
//! ```no_run
//! use machine_tests::{Guests, Machine};
//!
//! let mut roost = Machine::new().cpus(4).guests(Guests::Bare).boot();
//! assert!(roost.run("vm create hello").contains("vm 1 'hello' created"));
//! roost.power_off();
//! ```
//!
//! `make test` builds what they need; `ROOST_BUILD` says where it is (`build/aarch64` unless set). Limits of time are
//! generous, for a slow machine with other work; a test that passes takes less than a minute.
//!
//! What fails here fails with a panic, as tests do, and shows what was on the serial port.
#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "a failed expectation fails the test that has it")]

mod artifact;
mod machine;
mod roost;
mod serial;

pub use artifact::{Guests, build_directory, built};
pub use machine::{COUNTED, Cpu, Gic, Machine};
pub use roost::Roost;
pub use serial::Serial;
