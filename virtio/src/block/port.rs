//! A block device on its bus, from the outside: what changes its disk, and where disks report to.

use super::{Block, Medium};
use crate::disk::buffer::{BufferPool, NoMemory, PoolSize};
use crate::disk::{Completer, Disk, News};
use crate::transport::mmio::MmioDevice;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use hv_core::sync::Mutex;

/// A block device behind MMIO registers, shared by the guest's CPUs and the disk.
pub type Port = Mutex<MmioDevice<Block>>;

impl Completer for Port {
    fn hear(&self, news: Vec<News>) {
        self.lock().call(|block, context| block.hear(news, context));
    }
}

/// Puts `disk` into the device, in place of what was there, and tells the driver. Requests to the old one fail. What was
/// agreed on with the driver stays: what the new disk cannot do fails.
///
/// # Errors
///
/// [`NoMemory`] for buffers; the old disk stays.
pub fn attach(port: &Arc<Port>, disk: Arc<dyn Disk>, buffers: PoolSize) -> Result<(), NoMemory> {
    let pool = BufferPool::new(buffers)?;
    let completer: Weak<Port> = Arc::downgrade(port);
    disk.connect(completer);
    let medium = Medium::new(disk, pool);
    let old = port.lock().call(|block, context| block.change(Some(medium), context));
    // Without the device's lock.
    drop(old);
    Ok(())
}

/// Takes the disk out of the device, and tells the driver. Requests fail. Returns whether there was a disk.
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
