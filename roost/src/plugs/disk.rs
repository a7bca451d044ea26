//! A VM's disks: block devices, and what is behind them. A disk lives as long as its VM, or until it is detached: a reset
//! leaves it as it is.

use super::{Slot, Wires, activity, again};
use crate::disks;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use hv_core::page::Page;
use hv_core::sync::Mutex;
use virtio::block::{Block, Setup, Statistics, port};
use virtio::disk::buffer::PoolSize;
use virtio::disk::geometry::Limits;
use virtio::disk::image::Image;
use virtio::disk::overlay::{Overlay, RamDisk};
use virtio::disk::page::PageStore;
use virtio::disk::{Access, Cache, Disk, DiskError, Geometry, SECTOR_BYTES};
use vm_manager::config::{Backing, DiskAccess, DiskConfig};
use vm_manager::load::{Images, Source};
use vm_manager::plug::disk::{Content, Counts, DiskSlot, Insert, Stay};
use vm_manager::plug::{Activity, Again, Handle, Order, Plug, Plugged, Socket};

pub(super) struct DiskPlug {
    /// `None` for an empty slot.
    disk: Option<Arc<dyn Disk>>,
    backing: Backing,
    access: DiskAccess,
    queues: u16,
    wires: Wires,
}

impl DiskPlug {
    pub(super) fn new(order: &Order<'_>, config: &DiskConfig) -> Result<Self, String> {
        let insert = Insert {
            backing: &config.backing,
            access: config.access,
            images: order.images,
            user: &order.config.name,
        };
        let problem = |problem: String| order.config.error_in_disk(config, &problem).to_string();
        Ok(Self {
            disk: open(&insert).map_err(problem)?,
            backing: config.backing.clone(),
            access: config.access,
            queues: order.config.vcpus.into(),
            wires: Wires::new(order),
        })
    }
}

impl Plug for DiskPlug {
    fn name(&self) -> &'static str {
        "virtio disk"
    }

    fn build(self: Box<Self>, socket: Socket) -> Result<Plugged, String> {
        let Self { disk, backing, access, queues, wires } = *self;
        let geometry = disk.as_ref().map_or_else(|| of_empty(access), |disk| disk.geometry());
        let setup = Setup { name: short(&backing), queues, geometry };
        let block = Block::new(setup);
        let statistics = block.statistics();
        let slot = Slot::new(block, wires.with(socket));
        let handle =
            DiskHandle(Arc::new(DiskPort { slot, statistics, content: Mutex::new(None), access }));
        if let Some(disk) = disk {
            handle.0.insert(disk, &backing, access)?;
        }
        let device = Arc::<port::Port>::clone(&handle.0.slot.device);
        Ok(Plugged { device, handle: Arc::new(handle) })
    }
}

/// What a driver is told of a slot that is empty when it begins: it may use all that some disk can do.
fn of_empty(of: DiskAccess) -> Geometry {
    const LIMITS: Limits = Limits { sectors: 1 << 21, alignment_sectors: 1 };
    Geometry {
        sectors: 0,
        block_bytes: SECTOR_BYTES as u32,
        physical_exponent: 3,
        minimum_blocks: 0,
        optimal_blocks: 0,
        access: access(of),
        cache: Cache::WriteBack,
        discard: Some(LIMITS),
        write_zeroes: Some(LIMITS),
    }
}

/// What the guest reads as the disk's name.
fn short(backing: &Backing) -> &str {
    match backing {
        Backing::None => "none",
        Backing::Ram(_) => "ram",
        Backing::Image(path) => path.rsplit('/').next().unwrap_or_default(),
        Backing::Disk(name) => name,
        Backing::Partition(label) => label,
    }
}

/// A block device, and what is in it.
struct DiskPort {
    slot: Slot<Block>,
    statistics: Arc<Statistics>,
    /// Where the disk is from, if there is one. Taken before the device's lock.
    content: Mutex<Option<(Backing, DiskAccess)>>,
    /// What its driver was told that it may do with disks.
    access: DiskAccess,
}

impl DiskPort {
    fn insert(
        &self,
        disk: Arc<dyn Disk>,
        backing: &Backing,
        access: DiskAccess,
    ) -> Result<(), String> {
        let mut content = self.content.lock();
        if let Some((there, _)) = &*content {
            return Err(format!("'{there}' is in that slot: detach it first"));
        }
        let insert = port::Insert { disk, name: short(backing), buffers: PoolSize::default() };
        port::attach(&self.slot.device, insert).map_err(|error| error.to_string())?;
        *content = Some((backing.clone(), access));
        Ok(())
    }
}

impl DiskSlot for DiskPort {
    fn content(&self) -> Option<Content> {
        let (backing, access) = self.content.lock().clone()?;
        let device = self.slot.device.lock();
        let disk = device.device().disk()?;
        let bytes = disk.geometry().sectors.saturating_mul(SECTOR_BYTES);
        let stay = if device.device().is_leaving() { Stay::Leaves } else { Stay::Stays };
        Some(Content { backing, access, bytes, stay })
    }

    fn counts(&self) -> Counts {
        let counts = self.statistics.counts();
        Counts {
            reads: counts.reads,
            writes: counts.writes.saturating_add(counts.zeroes),
            flushes: counts.flushes,
            discards: counts.discards,
            read_bytes: counts.read_bytes,
            written_bytes: counts.written_bytes,
            errors: counts.errors,
        }
    }

    fn attach(&self, insert: &Insert<'_>) -> Result<(), String> {
        // A driver that was told that it only reads does not write.
        let access = match self.access {
            DiskAccess::ReadOnly => DiskAccess::ReadOnly,
            DiskAccess::ReadWrite => insert.access,
        };
        let insert = Insert { access, ..*insert };
        let disk = open(&insert)?.ok_or("there is nothing to attach")?;
        self.insert(disk, insert.backing, access)
    }

    fn release(&self) -> Result<(), String> {
        if self.content.lock().is_none() {
            return Err("there is no disk in that slot".into());
        }
        port::release(&self.slot.device);
        Ok(())
    }

    fn is_released(&self) -> bool {
        port::is_released(&self.slot.device)
    }

    fn eject(&self) {
        let mut content = self.content.lock();
        let _ = port::detach(&self.slot.device);
        *content = None;
    }
}

/// A block device, as its machine and the manager know it.
struct DiskHandle(Arc<DiskPort>);

impl Handle for DiskHandle {
    fn go_on(&self) -> Again {
        again(self.0.slot.device.lock().poll())
    }

    fn disk(&self) -> Option<Arc<dyn DiskSlot>> {
        Some(Arc::<DiskPort>::clone(&self.0))
    }

    fn activity(&self) -> Activity {
        activity(&self.0.slot.record)
    }
}

/// Opens what is behind a disk. `None` if it is nothing.
fn open(insert: &Insert<'_>) -> Result<Option<Arc<dyn Disk>>, String> {
    let &Insert { backing, access: of, images, user } = insert;
    let disks = disks::get();
    match backing {
        Backing::None => return Ok(None),
        Backing::Ram(bytes) => with_access(RamDisk::empty(Pages, bytes / SECTOR_BYTES), of),
        Backing::Image(path) => with_access(Overlay::new(Pages, image(path, images)?), of),
        Backing::Disk(name) => disks.open_disk(name, access(of), user),
        Backing::Partition(label) => disks.open_partition(label, access(of), user),
    }
    .map(Some)
}

fn image(path: &str, images: &dyn Images) -> Result<SourceImage, String> {
    let source = images.open(path).ok_or_else(|| format!("no image '{path}'"))?;
    // A guest's disk does not wait for another disk.
    if source.slice(0, 0).is_none() {
        return Err("an image that is on a disk cannot be one; use a partition of its own".into());
    }
    Ok(SourceImage(source))
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
pub(crate) struct Pages;

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
