//! What whole-machine tests stand on: Roost booted in an emulator, with its serial port at hand.
//!
//! ```no_run
//! use machine_tests::{Guests, Machine};
//!
//! let mut roost = Machine::virt().cpus(4).guests(Guests::Bare).boot();
//! assert!(roost.run("vm create hello").contains("vm 1 'hello' created"));
//! roost.power_off();
//! ```
//!
//! The same tests run on several machines: [`tests!`] says which on which. `make test` builds what they need;
//! `ROOST_BUILD` says where it is (`build` unless set). Limits of time are generous, for a slow machine with other work; a
//! test that passes takes less than a minute, but for some in Bochs.
//!
//! What fails here fails with a panic, as tests do, and shows what was on the serial port.
#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "a failed expectation fails the test that has it")]

mod artifact;
mod cable;
mod disk;
mod emulator;
mod forward;
mod machine;
mod monitor;
pub mod packet;
mod peer;
mod roost;
mod serial;
mod stage;
mod telnet;

pub use artifact::{Arch, Guests, build_directory, built, tool};
pub use cable::Cable;
pub use disk::Disk;
pub use machine::{COUNTED, Cpu, Firmware, Gic, Machine};
pub use monitor::{Monitor, Plugged};
pub use peer::{End, Peer};
pub use roost::Roost;
pub use serial::Serial;
pub use stage::Stage;
pub use telnet::{Telnet, Window};

/// Which tests run on which machine. What a test does is a function of the file, which gets the machine:
///
/// ```text
/// machine_tests::tests! {
///     aarch64 {
///         it_boots(Machine::virt());
///         it_boots_with_gicv2 = it_boots(Machine::virt().gic(Gic::V2));
///     }
///     svm { it_boots(Machine::svm()); }
/// }
/// ```
///
/// makes `aarch64::it_boots`, `aarch64::it_boots_with_gicv2` and `svm::it_boots`.
#[macro_export]
macro_rules! tests {
    ($($machine:ident {
        $($(#[$attribute:meta])* $name:ident $(= $body:ident)? ($($argument:expr),* $(,)?);)*
    })*) => {
        $(mod $machine {
            use super::*;
            $($(#[$attribute])* #[test]
            fn $name() {
                $crate::tests!(@call $name $(= $body)? ($($argument),*));
            })*
        })*
    };
    (@call $name:ident ($($argument:expr),*)) => { super::$name($($argument),*) };
    (@call $name:ident = $body:ident ($($argument:expr),*)) => { super::$body($($argument),*) };
}
