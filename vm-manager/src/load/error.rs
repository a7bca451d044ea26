//! Why a guest's images cannot be loaded.

use super::Region;
use super::source::ReadError;
use alloc::string::String;
use core::fmt;

/// Why a guest's images cannot be loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LoadError {
    /// A file is no kernel of the kind that was asked for.
    NotAKernel {
        /// The file.
        file: String,
        /// What it is.
        found: String,
        /// What it should be.
        accepted: &'static str,
    },
    /// A file is of the right kind, and damaged or not supported.
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Something does not fit where it must go.
    OutsideRam {
        /// What.
        what: String,
        /// Its first address.
        start: u64,
        /// Its length in bytes.
        bytes: u64,
        /// RAM.
        ram: Region,
    },
    /// Two things would be in the same place.
    Overlap {
        /// The one.
        what: String,
        /// Where it goes.
        at: Region,
        /// The other.
        other: String,
        /// Where that goes.
        other_at: Region,
    },
    /// RAM is too full for something that may go anywhere.
    NoRoom {
        /// What.
        what: String,
        /// Its length in bytes.
        bytes: u64,
        /// RAM.
        ram: Region,
    },
    /// An address in the configuration cannot be used.
    BadAddress {
        /// The key of the configuration.
        key: &'static str,
        /// The address.
        found: u64,
        /// What is allowed.
        allowed: String,
    },
    /// A file cannot be read.
    Read {
        /// The file.
        file: String,
        /// Why.
        error: ReadError,
    },
    /// The guest's RAM did not take what was planned to go there.
    Memory {
        /// What.
        what: String,
    },
}

impl LoadError {
    /// The medium of a file has not answered yet: nothing is wrong, and the same can be tried again a little later.
    #[must_use]
    pub fn is_not_yet(&self) -> bool {
        matches!(self, Self::Read { error: ReadError::NotYet, .. })
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKernel { file, found, accepted } => {
                write!(f, "{file}: found {found}; allowed: {accepted}")
            }
            Self::Malformed { file, problem } => write!(f, "{file}: {problem}"),
            Self::OutsideRam { what, start, bytes, ram } => {
                write!(f, "{what} needs {bytes:#x} bytes at {start:#x}, RAM is {ram}")
            }
            Self::Overlap { what, at, other, other_at } => {
                write!(f, "{what} at {at} overlaps {other} at {other_at}")
            }
            Self::NoRoom { what, bytes, ram } => {
                write!(f, "no room for {what} ({bytes:#x} bytes) in RAM ({ram})")
            }
            Self::BadAddress { key, found, allowed } => {
                write!(f, "{key}: found {found:#x}, allowed {allowed}")
            }
            Self::Read { file, error } => write!(f, "{file}: {error}"),
            Self::Memory { what } => write!(f, "{what} does not fit into the guest's RAM"),
        }
    }
}

impl core::error::Error for LoadError {}
