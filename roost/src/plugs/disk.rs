//! A VM's disks: block devices, and what is behind them. A disk lives as long as its VM: a reset leaves it as it is.

use super::{Slot, wiring};
use crate::disks;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use hv_core::page::Page;
use virtio::block::{Block, Setup, port};
use virtio::disk::buffer::PoolSize;
use virtio::disk::image::Image;
use virtio::disk::overlay::{Overlay, RamDisk};
use virtio::disk::page::PageStore;
use virtio::disk::{Access, Disk, DiskError, SECTOR_BYTES};
use vm_manager::config::{Backing, DiskAccess, DiskConfig};
use vm_manager::load::Source;
use vm_manager::plug::{Order, Plug, Plugged, Socket};
use vm_manager::sink::Bell;

pub(super) struct DiskPlug {
    disk: Arc<dyn Disk>,
    name: String,
    queues: u16,
    bell: Arc<dyn Bell>,
}

impl DiskPlug {
    pub(super) fn new(order: &Order<'_>, config: &DiskConfig) -> Result<Self, String> {
        let user = order.config.name.as_str();
        let disks = disks::get();
        let (disk, name) = match &config.backing {
            Backing::Ram(bytes) => {
                let disk = RamDisk::empty(Pages, bytes / SECTOR_BYTES);
                (with_access(disk, config.access), "ram")
            }
            Backing::Image(path) => {
                let source = order.images.open(path).ok_or_else(|| format!("no image '{path}'"))?;
                let name = path.rsplit('/').next().unwrap_or_default();
                (with_access(Overlay::new(Pages, SourceImage(source)), config.access), name)
            }
            Backing::Disk(name) => {
                (disks.open_disk(name, access(config.access), user), name.as_str())
            }
            Backing::Partition(label) => {
                (disks.open_partition(label, access(config.access), user), label.as_str())
            }
        };
        let disk = disk.map_err(|problem| order.config.error_in_disk(config, &problem));
        Ok(Self {
            disk: disk.map_err(|error| error.to_string())?,
            name: name.into(),
            queues: order.config.vcpus.into(),
            bell: Arc::clone(&order.bell),
        })
    }
}

impl Plug for DiskPlug {
    fn name(&self) -> &'static str {
        "virtio disk"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let Self { disk, name, queues, bell } = *self;
        let setup = Setup { name: &name, queues, geometry: disk.geometry() };
        let slot = Slot::new(Block::new(setup), wiring(socket, &bell));
        port::attach(&slot.device, disk, PoolSize::default()).map_err(|error| error.to_string())?;
        Ok(slot.plugged())
    }
}

/// What is asked of a disk of the host.
fn access(access: DiskAccess) -> Access {
    match access {
        DiskAccess::ReadWrite => Access::ReadWrite,
        DiskAccess::ReadOnly => Access::ReadOnly,
    }
}

fn with_access<I: Image + 'static>(
    disk: Result<Overlay<Pages, I>, DiskError>,
    access: DiskAccess,
) -> Result<Arc<dyn Disk>, String> {
    let disk = disk.map_err(|error| error.to_string())?;
    Ok(match access {
        DiskAccess::ReadWrite => Arc::new(disk),
        DiskAccess::ReadOnly => Arc::new(disk.read_only()),
    })
}

/// The machine's RAM, page by page.
struct Pages;

impl PageStore for Pages {
    type Page = Page;

    fn take_zeroed(&self) -> Option<Page> {
        Page::zeroed()
    }
}

/// An image of the bundle.
struct SourceImage(Arc<dyn Source>);

impl Image for SourceImage {
    fn bytes(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError> {
        self.0.read_at(offset, buf).map_err(|_| DiskError::Medium)
    }
}
