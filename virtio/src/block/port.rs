//! A block device on its bus, from the outside: what changes its disk, and where disks report to.

use super::{Block, Medium};
use crate::disk::buffer::{BufferPool, NoMemory, PoolSize};
use crate::disk::{Completer, Disk, News};
use crate::transport::mmio::MmioDevice;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use hv_core::sync::Mutex;

/// A block device behind MMIO registers, shared by the guest's CPUs and the disk.
pub type Port = Mutex<MmioDevice<Block>>;

impl Completer for Port {
    fn hear(&self, news: Vec<News>) {
        self.lock().call(|block, context| block.hear(news, context));
    }
}

/// A disk that is to be put into a device.
pub struct Insert<'a> {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Its name, of which the driver is told the first 20 bytes.
    pub name: &'a str,
    /// Buffers for it.
    pub buffers: PoolSize,
}

/// Why a disk cannot be put into a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttachError {
    /// There is no memory for buffers.
    NoMemory(NoMemory),
    /// Its blocks are larger than those of which the driver knows: it reads that once (5.2.5).
    Blocks {
        /// Bytes of the disk's blocks.
        disk: u32,
        /// Bytes of those that the driver makes requests for.
        device: u32,
    },
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory(error) => error.fmt(f),
            Self::Blocks { disk, device } => {
                write!(f, "its blocks have {disk} bytes, and those of the guest's device {device}")
            }
        }
    }
}

/// Puts a disk into the device, in place of what was there, and tells the driver by an interrupt that its configuration has
/// changed (5.2.5): it reads the capacity again. Requests to the old disk fail. What was agreed on with the driver stays:
/// what the new disk cannot do fails.
///
/// # Errors
///
/// [`AttachError`]; the old disk stays.
pub fn attach(port: &Arc<Port>, insert: Insert<'_>) -> Result<(), AttachError> {
    let Insert { disk, name, buffers } = insert;
    let device = port.lock().device().block_bytes();
    let block_bytes = disk.geometry().block_bytes;
    if block_bytes > device {
        return Err(AttachError::Blocks { disk: block_bytes, device });
    }
    let pool = BufferPool::new(buffers).map_err(AttachError::NoMemory)?;
    let completer: Weak<Port> = Arc::downgrade(port);
    disk.connect(completer);
    let medium = Medium::new(disk, pool);
    let old = port.lock().call(|block, context| {
        block.rename(name);
        block.change(Some(medium), context)
    });
    // Without the device's lock.
    drop(old);
    Ok(())
}

/// Lets the disk go, and tells the driver that there is none: requests that come fail, and those that have begun go on.
/// [`detach`] is to follow.
pub fn release(port: &Port) {
    port.lock().call(|block, context| block.release(context));
}

/// Whether a disk was let go, and no request of its is under way any more.
#[must_use]
pub fn is_released(port: &Port) -> bool {
    let port = port.lock();
    port.device().is_leaving() && port.device().running() == 0
}

/// Takes the disk out of the device, and tells the driver. Requests that have not ended fail. Returns whether there was a
/// disk.
pub fn detach(port: &Port) -> Detached {
    let old = port.lock().call(|block, context| block.change(None, context));
    if old.is_some() { Detached::Yes } else { Detached::WasEmpty }
}

/// Whether a disk was taken out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detached {
    /// It was, and it is gone.
    Yes,
    /// There was none.
    WasEmpty,
}
