//! What a driver of the host's disk is to [`HostDisk`](super::host::HostDisk): a queue of commands that end in any order.

use super::{Buffer, DiskError, Geometry, Operation};

/// What a command is called while the driver has it. No two commands ever have the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token(pub u64);

/// The driver did not take a command.
#[derive(Debug)]
pub enum Refused {
    /// Not now: all places are taken. The command comes back, and is offered again when another has ended.
    Busy(Operation),
    /// Not at all, and why.
    Failed(DiskError, Operation),
}

/// The end of a command.
#[derive(Debug)]
pub struct RawCompleted {
    /// What it was called.
    pub token: Token,
    /// Whether it was done.
    pub result: Result<(), DiskError>,
    /// Its buffer, if it had one.
    pub buffer: Option<Buffer>,
}

/// A driver of a disk. Its sectors are those of the whole disk.
///
/// The driver keeps a command's buffer for as long as the device may write to it: the buffer of a command that never ends
/// is never given back. It is called with a lock held, and calls nobody.
pub trait RawDisk: Send {
    /// How large the disk is, and what it can do. It does not change. `optimal_blocks` should be no more than what one
    /// command may have.
    fn geometry(&self) -> Geometry;

    /// How many commands it can have at once: at least one.
    fn depth(&self) -> usize;

    /// Takes a command. It need not begin it before [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`Refused`], which has the command.
    fn submit(&mut self, token: Token, operation: Operation) -> Result<(), Refused>;

    /// Tells the device what was submitted.
    fn start(&mut self);

    /// A command that has ended since the last call. `None` if there is none: never a wait.
    fn poll(&mut self) -> Option<RawCompleted>;
}
