//! Disks of the host: virtio block devices (virtio 1.2, 5.2), on virtio-mmio and on PCI.
//!
//! A [`DiskDriver`] takes commands that own their memory, and gives it back when the device has done with it: never a wait.
//! When the device has ended something, it interrupts ([`HostEvent::Disk`](crate::machine::HostEvent::Disk)) the CPU that
//! found it.

use crate::device::{Notice, Place};
use alloc::boxed::Box;
use alloc::string::String;

mod config;
mod driver;
mod flight;

pub use driver::DiskDriver;

/// Whether a disk can be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writability {
    /// It can.
    Writable,
    /// It cannot.
    ReadOnly,
}

/// When a write is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WriteCache {
    /// When it has ended.
    None,
    /// When a [`Command::Flush`] that came later has ended.
    Volatile,
}

/// The limits of a command without data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RangeLimits {
    /// The most sectors of one command. Not zero.
    pub sectors: u32,
    /// What its ends should be multiples of, in sectors. Not zero.
    pub alignment_sectors: u32,
}

/// What a disk is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DiskInfo {
    /// Where it is.
    pub place: Place,
    /// How it tells of ends.
    pub notice: Notice,
    /// What it calls itself; may be empty.
    pub serial: String,
    /// Its capacity, in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// How many blocks are one of the medium, as a power of two.
    pub physical_exponent: u8,
    /// The shortest length that is fast, in blocks; 0 if that is not known.
    pub minimum_blocks: u16,
    /// The best length, in blocks; 0 if that is not known.
    pub optimal_blocks: u32,
    /// Whether it can be written.
    pub writability: Writability,
    /// Whether it needs to be flushed.
    pub cache: WriteCache,
    /// Limits of [`Command::Discard`], if it can do that.
    pub discard: Option<RangeLimits>,
    /// Limits of [`Command::WriteZeroes`], if it can do that.
    pub write_zeroes: Option<RangeLimits>,
}

/// Whether zeroed sectors may lose their storage.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Storage {
    /// They keep it.
    Kept,
    /// They may lose it.
    Freed,
}

/// What a disk is to do. Sectors have 512 bytes.
#[derive(Debug)]
pub enum Command {
    /// Fills the first `bytes` bytes of the memory.
    Read {
        /// From this sector on.
        sector: u64,
        /// It is the driver's until the command has ended.
        memory: Box<[u8]>,
        /// A multiple of a block.
        bytes: usize,
    },
    /// Stores the first `bytes` bytes of the memory.
    Write {
        /// From this sector on.
        sector: u64,
        /// It is the driver's until the command has ended.
        memory: Box<[u8]>,
        /// A multiple of a block.
        bytes: usize,
    },
    /// Makes durable what was written before.
    Flush,
    /// Forgets what so many sectors hold.
    Discard {
        /// The first.
        sector: u64,
        /// How many.
        sectors: u32,
    },
    /// Makes so many sectors zero.
    WriteZeroes {
        /// The first.
        sector: u64,
        /// How many.
        sectors: u32,
        /// What may become of their storage.
        storage: Storage,
    },
    /// Fills the first 20 bytes of the memory with what the disk calls itself.
    Identify {
        /// At least so long.
        memory: Box<[u8]>,
    },
}

impl Command {
    fn into_memory(self) -> Option<Box<[u8]>> {
        match self {
            Self::Read { memory, .. } | Self::Write { memory, .. } | Self::Identify { memory } => {
                Some(memory)
            }
            Self::Flush | Self::Discard { .. } | Self::WriteZeroes { .. } => None,
        }
    }
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// The driver has as many as it can have.
    Busy,
    /// The disk cannot do it, or does nothing any more.
    Failed(CommandError),
}

/// A command was not taken.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// Its memory, if it had some.
    pub memory: Option<Box<[u8]>>,
}

/// Why a command failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandError {
    /// The disk reports an error.
    Medium,
    /// The disk does not know the command.
    Unsupported,
}

/// The end of a command.
#[derive(Debug)]
pub struct Ended {
    /// What the caller called it.
    pub id: u64,
    /// Whether it was done.
    pub result: Result<(), CommandError>,
    /// Its memory, if it had some.
    pub memory: Option<Box<[u8]>>,
}
