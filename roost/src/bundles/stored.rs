//! A bundle on a partition. The partition stays open for reading, so that nobody writes where its images are.

use crate::disks;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::time::Duration;
use hv_core::host;
use virtio::disk::reader::{DiskReader, Patience};
use virtio::disk::{Access, Disk};
use volume::catalogue::Catalogue;

/// Who has the partition open.
const USER: &str = "the bundle";
/// How long the boot waits for all that is read of one.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Stored {
    pub(super) label: String,
    /// As listings call it: `vda1 'roost' ext4`.
    pub(super) place: String,
    pub(super) catalogue: Catalogue,
    /// Keeps writers away.
    _partition: Arc<dyn Disk>,
}

/// Whether any disk has a partition of this label.
pub(super) fn is_there(label: &str) -> bool {
    let mut partitions = disks::get().iter().flat_map(|found| found.partitions());
    partitions.any(|partition| partition.label == label)
}

impl Stored {
    /// Reads what is on the partition of this label. It waits for the disk: that is for the boot only.
    pub(super) fn read(label: &str) -> Result<Self, String> {
        let disks = disks::get();
        let partition = disks.open_partition(label, Access::ReadOnly, USER)?;
        let limit = host::now() + PATIENCE;
        let wait = || {
            let now = host::now();
            let _ = disks.poll(now);
            host::pause();
            if now < limit { Patience::Wait } else { Patience::GiveUp }
        };
        let reader = DiskReader::new(Arc::clone(&partition), wait);
        let mut reader = reader.map_err(|error| error.to_string())?;
        let catalogue = Catalogue::read(&mut reader).map_err(|error| error.to_string())?;
        Ok(Self::new(label, catalogue, partition))
    }

    /// What was read of the partition of this label.
    pub(super) fn new(label: &str, catalogue: Catalogue, partition: Arc<dyn Disk>) -> Self {
        let place = disks::get().partition_name(label).unwrap_or_default();
        let place = format!("{place} '{}' {}", label.escape_debug(), catalogue.file_system);
        Self { label: label.into(), place, catalogue, _partition: partition }
    }
}
