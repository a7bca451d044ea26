//! Slots for disks, of which the content may be exchanged while the guest runs.

use crate::config::{Backing, DiskAccess};
use crate::load::Images;
use alloc::string::String;

/// What is to be put into a slot.
pub struct Insert<'a> {
    /// Where its content is.
    pub backing: &'a Backing,
    /// What the guest may do with it.
    pub access: DiskAccess,
    /// Where images are found.
    pub images: &'a dyn Images,
    /// The VM's name.
    pub user: &'a str,
}

/// What is in a slot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Content {
    /// Where it is.
    pub backing: Backing,
    /// What the guest may do with it.
    pub access: DiskAccess,
    /// Its size.
    pub bytes: u64,
    /// Whether it stays.
    pub stay: Stay,
}

/// Whether a disk stays in its slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stay {
    /// It does.
    Stays,
    /// It is about to go, when what the guest has begun has ended.
    Leaves,
}

/// What a guest has asked of the disks in a slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
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

/// A slot for a disk.
pub trait DiskSlot: Send + Sync {
    /// What is in it.
    fn content(&self) -> Option<Content>;

    /// What the guest has asked of it.
    fn counts(&self) -> Counts;

    /// Puts a disk into it, and tells the guest.
    ///
    /// # Errors
    ///
    /// Says why not: there is one, or that one cannot be had.
    fn attach(&self, insert: &Insert<'_>) -> Result<(), String>;

    /// Tells the guest that there is no disk any more: what it asks for from now on fails.
    ///
    /// # Errors
    ///
    /// Says that there is none.
    fn release(&self) -> Result<(), String>;

    /// Whether everything has ended that the guest had begun before [`Self::release`].
    fn is_released(&self) -> bool;

    /// Takes the disk out, if there is one. What has not ended fails.
    fn eject(&self);
}
