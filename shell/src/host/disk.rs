//! The disks of the host, and those of VMs.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::Serialize;

/// A partition of a disk.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PartitionSummary {
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its label; may be empty.
    pub label: String,
    /// Where it begins.
    pub start_bytes: u64,
    /// Its size.
    pub size_bytes: u64,
    /// What it is used for: the GUID of its type.
    pub kind: String,
    /// Who has some of it open.
    pub used_by: Vec<String>,
}

/// Who has a part of a disk of the host open, and what was done for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DiskUserSummary {
    /// Who it is.
    pub name: String,
    /// The partition, if it is one.
    pub partition: Option<u32>,
    /// Whether it only reads.
    pub is_read_only: bool,
    /// Requests that it made.
    pub requests: u64,
    /// Of which flushes.
    pub flushes: u64,
    /// Bytes that were read for it.
    pub read_bytes: u64,
    /// Bytes that were written for it.
    pub written_bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Of which those that did not end in time.
    pub late: u64,
    /// The longest that a request took.
    pub longest_ns: u64,
}

/// A disk of the host.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct HostDiskSummary {
    /// Its name, such as `vda`.
    pub name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Where it is, such as `virtio-mmio 0xa003e00`.
    pub place: String,
    /// What it calls itself; may be empty.
    pub serial: String,
    /// Whether it can only be read.
    pub is_read_only: bool,
    /// Whether it has a cache that flushes write back.
    pub has_cache: bool,
    /// Whether it interrupts; else it is polled.
    pub interrupts: bool,
    /// Who has some of it open.
    pub used_by: Vec<String>,
    /// Its partitions.
    pub partitions: Vec<PartitionSummary>,
    /// What was done for whom.
    pub users: Vec<DiskUserSummary>,
    /// Why it has no partitions, if it has none; or what is wrong with their table.
    pub table_note: Option<String>,
    /// Commands that it was given.
    pub commands: u64,
    /// Of which flushes.
    pub flushes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Commands that failed.
    pub errors: u64,
    /// Requests that did not end in time.
    pub late: u64,
    /// Commands that it has now.
    pub in_flight: u64,
}

/// What a slot for disks has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskSlotState {
    /// Nothing.
    Empty,
    /// A disk.
    Attached,
    /// A disk that goes when what the guest has begun has ended.
    Detaching,
}

impl fmt::Display for DiskSlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Empty => "empty",
            Self::Attached => "attached",
            Self::Detaching => "detaching",
        })
    }
}

/// A slot of a VM for a disk, and what the guest has asked of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DiskSlotSummary {
    /// What Linux calls the disk in it, such as `vda`.
    pub slot: String,
    /// Where the disk's content is, as a configuration says it.
    pub backing: Option<String>,
    /// The disk's size; zero without one.
    pub size_bytes: u64,
    /// What there is.
    pub state: DiskSlotState,
    /// Whether the guest may only read the disk.
    pub is_read_only: bool,
    /// Requests to read.
    pub reads: u64,
    /// Requests to write, zeroes too.
    pub writes: u64,
    /// Requests to flush.
    pub flushes: u64,
    /// Requests to discard.
    pub discards: u64,
    /// Bytes that reads asked for.
    pub read_bytes: u64,
    /// Bytes that writes asked for.
    pub written_bytes: u64,
    /// Requests that failed.
    pub errors: u64,
}

/// What `vm disk attach` asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttachRequest {
    /// Where the content is, as typed.
    pub backing: String,
    /// The slot; the first empty one unless given.
    pub slot: Option<String>,
    /// Whether the guest may only read it.
    pub is_read_only: bool,
}
