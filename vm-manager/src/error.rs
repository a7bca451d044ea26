//! Why the manager does not do what it was asked to.

use crate::config::ConfigError;
use crate::load::LoadError;
use crate::vm::VmState;
use alloc::string::String;
use core::fmt;
use core::time::Duration;
use hv_core::ram::RamError;

/// Why the manager does not do what it was asked to. Nothing has changed, unless the text says so.
#[derive(Debug)]
pub enum Error {
    /// There is no VM of that number.
    NoSuchVm(u32),
    /// Another VM has that name.
    NameTaken {
        /// The name.
        name: String,
        /// The VM that has it.
        id: u32,
    },
    /// The console of another VM has that port.
    PortTaken {
        /// The port.
        port: u16,
        /// The other VM, as messages name it.
        vm: String,
    },
    /// The VM is not in a state in which that can be done.
    WrongState {
        /// The VM, as messages name it.
        vm: String,
        /// Its state.
        state: VmState,
        /// What would be right, as a sentence without its end.
        advice: &'static str,
    },
    /// Something else is being done to it.
    Busy(String),
    /// The configuration is at fault.
    Config(ConfigError),
    /// An image is at fault, or does not fit.
    Load(LoadError),
    /// There is not enough memory.
    Memory {
        /// The VM's name.
        name: String,
        /// Why.
        cause: RamError,
    },
    /// The machine cannot be as the configuration wants it.
    Board(String),
    /// It cannot have or lend so much memory.
    Lending {
        /// The VM, as messages name it.
        vm: String,
        /// Why not, as the rest of a sentence.
        why: String,
    },
    /// The guest did not do what it was asked to in this time.
    TimedOut {
        /// The VM, as messages name it.
        vm: String,
        /// How long it had.
        after: Duration,
    },
    /// No CPU of the affinity exists.
    NoSuchCpu {
        /// The highest number that there is.
        last: usize,
    },
}

impl Error {
    /// The medium of an image has not answered yet: nothing is wrong, and the same can be tried again a little later.
    #[must_use]
    pub fn is_not_yet(&self) -> bool {
        matches!(self, Self::Load(error) if error.is_not_yet())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchVm(id) => write!(f, "no VM {id}"),
            Self::NameTaken { name, id } => {
                write!(f, "the name '{name}' is vm {id}'s; give another one with --name")
            }
            Self::PortTaken { port, vm } => {
                write!(
                    f,
                    "port {port} leads to the console of {vm}; give another one with console.port=N"
                )
            }
            Self::WrongState { vm, state, advice } => write!(f, "{vm} is {state}; {advice}"),
            Self::Busy(vm) => write!(f, "{vm} is being worked on by another command; wait for it"),
            Self::Config(error) => error.fmt(f),
            Self::Load(error) => error.fmt(f),
            Self::Memory { name, cause } => write!(f, "no memory for '{name}': {cause}"),
            Self::Board(why) => f.write_str(why),
            Self::Lending { vm, why } => write!(f, "{vm} {why}"),
            Self::TimedOut { vm, after } => write!(
                f,
                "{vm} did not switch itself off within {} s; 'vm stop --force' does not ask it",
                after.as_secs()
            ),
            Self::NoSuchCpu { last } => write!(f, "no such CPU: there are 0 to {last}"),
        }
    }
}
